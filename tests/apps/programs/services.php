<?php
// SPDX-License-Identifier: ISC
// Copyright (c) 2026 the sockseal authors
//
// The server of tests/support/services.py in PHP: one process, stream_select, PHP's stream buffers.

declare(strict_types=1);

[, $address, $port, $path] = $argv;
set_error_handler(fn () => true); // fwrite's notice; errors are told below

final class Connection
{
    public string $out = '';
    public string $state = 'line';
    public bool $reading = true;
    public int $count = 0;
    public mixed $file = null;
    public mixed $hash = null;
    public int $turn = 0;
    public int $turns = 0;
    public float $interval = 0;
    public float $due = 0;

    public function __construct(public mixed $stream)
    {
        stream_set_blocking($stream, false);
        $this->out = "ready\n";
    }

    /** Takes a command line or bytes; whether the connection lives on. */
    public function read(): bool
    {
        if ($this->state === 'line') {
            $line = fgets($this->stream, 100);
            if ($line === false) {
                return !feof($this->stream);
            }
            $this->begin(explode(' ', rtrim($line)));
            // What fgets has buffered is not seen by select.
        }
        do {
            $data = fread($this->stream, 65536);
            $this->take($data === false ? '' : $data);
        } while ($data !== false && $data !== '' && strlen($this->out) < 1000000);
        if (feof($this->stream)) {
            $this->reading = false;
            if ($this->state === 'sink') {
                $this->out .= "{$this->count} " . hash_final($this->hash) . "\n";
            }
        }
        return true;
    }

    private function begin(array $words): void
    {
        $this->state = $words[0];
        if ($words[0] === 'sink') {
            $this->hash = hash_init('sha256');
        } elseif ($words[0] === 'file') {
            global $path;
            $this->file = fopen($path, 'rb');
            $this->reading = false;
        } elseif ($words[0] === 'tick') {
            [$this->turns, $this->interval] = [(int) $words[1], $words[2] / 1000];
            $this->due = microtime(true) + $this->interval;
        } elseif ($words[0] === 'reset') {
            fwrite($this->stream, "last words\n");
            $socket = socket_import_stream($this->stream);
            socket_set_option($socket, SOL_SOCKET, SO_LINGER, ['l_onoff' => 1, 'l_linger' => 0]);
            $this->reading = false;
        }
    }

    private function take(string $data): void
    {
        if ($this->state === 'sink') {
            hash_update($this->hash, $data);
            $this->count += strlen($data);
        } else {
            $this->out .= $data;
        }
    }

    public function write(): bool
    {
        if ($this->file && strlen($this->out) < 65536) {
            $this->out .= fread($this->file, 262144);
            if (feof($this->file)) {
                $this->file = null;
            }
        }
        $count = fwrite($this->stream, $this->out);
        if ($count === false) {
            echo 'error ', str_contains(error_get_last()['message'] ?? '', 'errno=32') ? 'EPIPE' : 'ECONNRESET', "\n";
            return false;
        }
        $this->out = substr($this->out, $count);
        return true;
    }

    public function tick(float $now): void
    {
        while ($this->turn < $this->turns && $now >= $this->due) {
            $this->out .= "tick {$this->turn}\n";
            $this->turn++;
            $this->due += $this->interval;
        }
    }

    public function done(): bool
    {
        return !$this->reading && $this->out === '' && !$this->file && $this->turn === $this->turns;
    }
}

function round_of(mixed $server, array &$connections): void
{
    $now = microtime(true);
    $timeout = 3600.0;
    $read = [$server];
    $write = [];
    foreach ($connections as $id => $connection) {
        $connection->tick($now);
        if ($connection->turn < $connection->turns) {
            $timeout = max(0, min($timeout, $connection->due - $now));
        }
        if ($connection->reading && strlen($connection->out) < 1000000) {
            $read[] = $connection->stream;
        }
        if ($connection->out !== '' || $connection->file) {
            $write[] = $connection->stream;
        }
    }
    $except = null;
    stream_select($read, $write, $except, (int) $timeout, (int) (fmod($timeout, 1) * 1e6));
    foreach ($read as $stream) {
        if ($stream === $server) {
            $accepted = stream_socket_accept($server, 0);
            if ($accepted) {
                $connections[(int) $accepted] = new Connection($accepted);
            }
        } elseif (!$connections[(int) $stream]->read()) {
            unset($connections[(int) $stream]);
        }
    }
    foreach ($write as $stream) {
        if (isset($connections[(int) $stream]) && !$connections[(int) $stream]->write()) {
            unset($connections[(int) $stream]);
        }
    }
    $connections = array_filter($connections, fn ($connection) => !$connection->done());
}

$context = stream_context_create(['socket' => ['backlog' => 1024]]);
$server = stream_socket_server("tcp://$address:$port", $code, $message, STREAM_SERVER_BIND | STREAM_SERVER_LISTEN, $context);
pcntl_async_signals(true);
pcntl_signal(SIGTERM, fn () => exit(0));
$connections = [];
while (true) {
    round_of($server, $connections);
}
