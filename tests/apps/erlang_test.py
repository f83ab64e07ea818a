# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
#
# packages: erlang-base
"""Erlang's gen_tcp: its schedulers share one epoll, its packets are cut by {packet, 4}, and each direction of a hundred
connections flows at once."""

import sys
import unittest

from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import sealed

from sealed import both_modes

PROGRAMS = {"erl": ["erl", "-noshell", "-eval", "io:format(erlang:system_info(otp_release)), halt()."]}

CLIENTS = 100 if sealed.FULL else 30
PACKETS = 200 if sealed.FULL else 60
LARGE = (8 if sealed.FULL else 2) << 20

SERVER = """
main([Address, Port]) ->
    {ok, IP} = inet:parse_address(Address),
    {ok, Listener} = gen_tcp:listen(list_to_integer(Port), [binary, {packet, 4}, {active, false}, {reuseaddr, true},
                                                            {backlog, 200}, {ip, IP}]),
    accept(Listener).
accept(Listener) ->
    {ok, Socket} = gen_tcp:accept(Listener),
    Worker = spawn(fun() -> receive go -> echo(Socket) end end),
    ok = gen_tcp:controlling_process(Socket, Worker),
    Worker ! go,
    accept(Listener).
echo(Socket) ->
    case gen_tcp:recv(Socket, 0) of
        {ok, Packet} -> ok = gen_tcp:send(Socket, Packet), echo(Socket);
        {error, closed} -> gen_tcp:close(Socket)
    end.
"""

CLIENT = """
main([Address, Port, Clients, Packets, Large]) ->
    Self = self(),
    Count = list_to_integer(Clients),
    Data = binary:copy(<<"0123456789abcdef">>, list_to_integer(Large) div 16),
    [spawn(fun() -> Self ! converse(Address, list_to_integer(Port), list_to_integer(Packets), Data) end)
     || _ <- lists:seq(1, Count)],
    [receive ok -> ok after 40000 -> io:format("nothing comes~n"), halt(3) end || _ <- lists:seq(1, Count)],
    io:format("all came back~n").
converse(Address, Port, Packets, Data) ->
    {ok, Socket} = gen_tcp:connect(Address, Port, [binary, {packet, 4}, {active, once}, {nodelay, true}]),
    [there_and_back(Socket, <<N:32, (binary:part(Data, 0, N * 10))/binary>>) || N <- lists:seq(1, Packets)],
    there_and_back(Socket, Data),
    gen_tcp:close(Socket).
there_and_back(Socket, Packet) ->
    ok = gen_tcp:send(Socket, Packet),
    receive {tcp, Socket, Packet} -> inet:setopts(Socket, [{active, once}]) after 30000 -> exit(late) end.
"""


class Erlang(sealed.TestCase):
    def setUp(self):
        sealed.need("escript")
        super().setUp()
        self.address = sealed.loopback()

    def script(self, name, text):
        (self.directory / name).write_text("#!/usr/bin/env escript\n" + text)
        return "escript", self.directory / name, self.address

    @both_modes
    def test_packets_of_many_clients(self):
        port = self.port()
        server = self.run_program(*self.script("server", SERVER), port)
        self.wait_listening(port, server)
        client = self.run_program(*self.script("client", CLIENT), port, CLIENTS, PACKETS, LARGE)
        end = client.status(60), bytes(client.out.data)
        self.assertEqual(end, (0, b"all came back\n"))
        return end


if __name__ == "__main__":
    unittest.main()
