<?php
// SPDX-License-Identifier: ISC
// Copyright (c) 2026 the sockseal authors
//
// Under PHP's built-in server: sums what is posted, sends the file that the environment names, or drips. From the
// command line, web.php ADDRESS PORT: libcurl as its client.

declare(strict_types=1);

function serve(): void
{
    if ($_SERVER['REQUEST_METHOD'] === 'POST') {
        echo hash('sha256', file_get_contents('php://input'));
    } elseif ($_SERVER['REQUEST_URI'] === '/file') {
        readfile(getenv('SERVED_FILE'));
    } else {
        for ($number = 0; $number < 5; $number++) {
            echo "drop $number\n";
            flush();
            usleep(2000);
        }
    }
}

function fetch(string $base): void
{
    $many = curl_multi_init();
    $handles = [];
    for ($number = 0; $number < 40; $number++) {
        $body = str_repeat(chr($number), $number * 5003 + 1);
        $handle = curl_init("$base/sum");
        curl_setopt_array($handle, [CURLOPT_POSTFIELDS => $body, CURLOPT_RETURNTRANSFER => true, CURLOPT_PROXY => '',
            CURLOPT_TIMEOUT => 30]);
        curl_multi_add_handle($many, $handle);
        $handles[] = [$handle, hash('sha256', $body)];
    }
    do {
        curl_multi_exec($many, $running);
        curl_multi_select($many, 1);
    } while ($running);
    $right = array_filter($handles, fn ($pair) => curl_multi_getcontent($pair[0]) === $pair[1]);
    echo 'post ', count($right), "\n";
    echo 'file ', hash('sha256', file_get_contents("$base/file")), "\n";
    echo 'drip ', strlen(file_get_contents("$base/drip")), "\n";
}

PHP_SAPI === 'cli-server' ? serve() : fetch("http://$argv[1]:$argv[2]");
