#!/bin/bash
# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
. "$(dirname "$0")/../common.sh"
need nginx curl
"$sockseal" keygen -o keys web
mkdir html
chmod 755 "$dir" html
echo 'served' >html/index.html
cat >nginx.conf <<END
worker_processes 2;
pid $dir/nginx.pid;
error_log $dir/error.log;
events {}
http {
    access_log $dir/access.log;
    client_body_temp_path $dir/body; proxy_temp_path $dir/proxy; fastcgi_temp_path $dir/fastcgi;
    uwsgi_temp_path $dir/uwsgi; scgi_temp_path $dir/scgi;
    server {
        listen 127.0.0.1:8081;
        root $dir/html;
        location /inner/ { allow 127.0.0.2; deny all; alias $dir/html/; }
    }
}
END

say "nginx, sealed"
start nginx "$sockseal" -p listen:8081 -k keys nginx -c "$dir/nginx.conf" -g 'daemon off;'
until_true listens 8081

get() {
    "$sockseal" -p connect:8081 -k keys curl -sS --max-time 20 "$@"
}

say "curl, sealed, from the address 127.0.0.2"
get --interface 127.0.0.2 http://127.0.0.1:8081/
until_true grep -q '^127.0.0.2 ' access.log
cat access.log

say "Rules for addresses count: /inner/ is for 127.0.0.2"
[ "$(get --interface 127.0.0.2 http://127.0.0.1:8081/inner/)" = served ]
[ "$(get --interface 127.0.0.3 -o /dev/null -w '%{http_code}' http://127.0.0.1:8081/inner/)" = 403 ]

say "curl without the key"
fails curl -sS --max-time 10 http://127.0.0.1:8081/
cat fails.log
done_well "nginx has logged, and judged, the client's own address"
