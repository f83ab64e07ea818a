<?php
// SPDX-License-Identifier: ISC
// Copyright (c) 2026 the sockseal authors
//
// A client of tests/support/services.py in PHP, ADDRESS PORT COUNT BYTES: streams, and the extension sockets.

declare(strict_types=1);

[, $address, $port, $count, $bytes] = $argv;

function open_service(string $name): mixed
{
    global $address, $port;
    $stream = stream_socket_client("tcp://$address:$port", $code, $message, 10);
    if (fgets($stream) !== "ready\n") {
        throw new RuntimeException('no greeting');
    }
    fwrite($stream, "$name\n");
    return $stream;
}

/** Connected in the background, all in one stream_select. */
function select_all(int $count): int
{
    global $address, $port;
    $waiting = $reading = $got = [];
    $right = 0;
    for ($number = 0; $number < $count; $number++) {
        $waiting[] = stream_socket_client("tcp://$address:$port", $code, $message, 10,
            STREAM_CLIENT_CONNECT | STREAM_CLIENT_ASYNC_CONNECT);
    }
    while ($waiting || $reading) {
        [$read, $write, $except] = [$reading, $waiting, null];
        stream_select($read, $write, $except, 20);
        foreach ($write as $stream) {
            unset($waiting[array_search($stream, $waiting, true)]);
            fwrite($stream, "echo\nhello\n");
            stream_socket_shutdown($stream, STREAM_SHUT_WR);
            $got[(int) $stream] = '';
            $reading[] = $stream;
        }
        foreach ($read as $stream) {
            $got[(int) $stream] .= fread($stream, 100);
            if (feof($stream)) {
                unset($reading[array_search($stream, $reading, true)]);
                $right += $got[(int) $stream] === "ready\nhello\n" ? 1 : 0;
                fclose($stream);
            }
        }
    }
    return $right;
}

function download(): string
{
    $hash = hash_init('sha256');
    hash_update_stream($hash, open_service('file'));
    return hash_final($hash);
}

/** The extension is a library of its own, which PHP binds deeply. */
function extension(int $bytes): bool
{
    global $address, $port;
    $socket = socket_create(AF_INET, SOCK_STREAM, SOL_TCP);
    socket_connect($socket, $address, (int) $port);
    $data = random_bytes($bytes);
    socket_write($socket, "echo\n$data");
    socket_shutdown($socket, 1);
    $back = '';
    while (($chunk = socket_read($socket, 10000)) !== '' && $chunk !== false) {
        $back .= $chunk;
    }
    return $back === "ready\n$data";
}

echo 'select ', select_all((int) $count), "\n";
echo 'file ', download(), "\n";
echo 'sockets ', extension((int) $bytes) ? 'right' : 'wrong', "\n";
