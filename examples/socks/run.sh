#!/bin/bash
# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
. "$(dirname "$0")/../common.sh"
need microsocks proxychains4 torsocks curl python3
"$sockseal" keygen -o keys proxy
mkdir html
echo served >html/index.html
printf 'strict_chain\n[ProxyList]\nsocks5 127.0.0.1 1081\n' >proxychains.conf
printf 'TorAddress 127.0.0.1\nTorPort 1081\n' >torsocks.conf
export TORSOCKS_CONF_FILE=$dir/torsocks.conf TORSOCKS_ALLOW_INBOUND=1

# Another address than the loopback interface's own, which torsocks does not lead anywhere.
address=192.0.2.80
ip address add $address/32 dev lo 2>/dev/null || {
    echo "this example takes the right to give the interface lo an address" >&2
    exit 77
}
undo() {
    ip address del $address/32 dev lo
}

start web python3 -m http.server -d html -b $address 8082
start proxy "$sockseal" -p listen:1081 -k keys microsocks -i 127.0.0.1 -p 1081
until_true listens 8082
until_true listens 1081

say "curl by proxychains-ng, the way to the proxy sealed"
"$sockseal" -p connect:1081 -k keys proxychains4 -q -f proxychains.conf curl -sS --max-time 20 http://$address:8082/ | tee got
[ "$(cat got)" = served ]

say "curl by torsocks, likewise"
"$sockseal" -p connect:1081 -k keys torsocks curl -sS --max-time 20 http://$address:8082/ | tee got
[ "$(cat got)" = served ]

say "Without the key there is no way through the proxy"
fails proxychains4 -q -f proxychains.conf curl -sS --max-time 10 http://$address:8082/
cat fails.log
[ "$(grep -c 'GET / ' web.log)" = 2 ]
done_well "both led curl through the sealed proxy"
