#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
#
# A client of MariaDB on its C library, a small program for the tests that knows nothing of sockseal:
#
#     mariadb.pl ADDRESS PORT crowd COUNT    COUNT connections at once, each of which answers in turn; "go" ends it
#     mariadb.pl ADDRESS PORT blob SIZE...   values of SIZE bytes go in and come back
#     mariadb.pl ADDRESS PORT prepared COUNT COUNT executions of a statement that the server has prepared

use strict;
use warnings;

use DBI;
use Digest::SHA qw(sha256_hex);

$| = 1;
my ($address, $port, $what, @arguments) = @ARGV;

sub connection {
    return DBI->connect("DBI:MariaDB:database=work;host=$address;port=$port;mariadb_max_allowed_packet=67108864",
        "tester", "secret", {RaiseError => 1, PrintError => 0, mariadb_server_prepare => 1});
}

sub crowd {
    my ($count) = @_;
    my @crowd = map { connection() } 1 .. $count;
    for my $round (1 .. 3) {
        my $sum = 0;
        for my $number (0 .. $#crowd) {
            my ($answer) = $crowd[$number]->selectrow_array("SELECT $number + $round");
            $sum += $answer;
        }
        print "round $round: $sum\n";
    }
    print "connected: ", scalar @{$crowd[0]->selectall_arrayref("SHOW PROCESSLIST")}, "\n";
    <STDIN>;
    my $lost = grep { !eval { $_->selectrow_array("SELECT 1") } } @crowd;
    print "lost: $lost\n";
    return;
}

sub blob {
    my $db = connection();
    for my $size (@_) {
        my $block = join "", map { pack "N", $_ * 2_654_435_761 % 4_294_967_296 } 1 .. 65_536;
        my $value = substr $block x (1 + int($size / length $block)), 0, $size;
        my $insert = $db->prepare("INSERT INTO blobs (content) VALUES (?)");
        $insert->bind_param(1, $value, DBI::SQL_BLOB);
        $insert->execute;
        my ($back, $server) = $db->selectrow_array(
            "SELECT content, SHA2(content, 256) FROM blobs WHERE id = LAST_INSERT_ID()");
        my $same = $back eq $value && $server eq sha256_hex($value) ? "same" : "different";
        print "$size: $same ", length $back, "\n";
    }
    return;
}

sub prepared {
    my ($count) = @_;
    my $db = connection();
    my $insert = $db->prepare("INSERT INTO items (number, name, price) VALUES (?, ?, ?)");
    $insert->execute($_, "name $_ " . "n" x ($_ % 200), $_ / 4) for 1 .. $count;
    my $select = $db->prepare("SELECT number, name, price FROM items WHERE number BETWEEN ? AND ? ORDER BY number");
    my $text = "";
    for my $from (map { $_ * 10 } 0 .. $count / 10 - 1) {
        $select->execute($from, $from + 20);
        $text .= join("|", @$_) . "\n" for @{$select->fetchall_arrayref};
    }
    my ($name, $executed) = $db->selectrow_array("SHOW SESSION STATUS LIKE 'Com_stmt_execute'");
    print sha256_hex($text), " ", length $text, " $executed\n";
    return;
}

my %actions = (crowd => \&crowd, blob => \&blob, prepared => \&prepared);
$actions{$what}->(@arguments);
