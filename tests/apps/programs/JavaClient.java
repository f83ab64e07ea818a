// SPDX-License-Identifier: ISC
// Copyright (c) 2026 the sockseal authors

import java.io.IOException;
import java.io.InputStream;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.net.SocketTimeoutException;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.Random;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * A client of the servers of tests/support/services.py: ADDRESS PORT COUNT BYTES. Threads that block, then channels that
 * do not, each with COUNT connections that send BYTES and compare what comes back; a download; a read that times out.
 */
final class JavaClient {
    private static InetSocketAddress address;

    public static void main(String[] arguments) throws Exception {
        address = new InetSocketAddress(arguments[0], Integer.parseInt(arguments[1]));
        int count = Integer.parseInt(arguments[2]);
        int size = Integer.parseInt(arguments[3]);
        System.out.println("threads " + blocking(count, size));
        System.out.println("channels " + channels(count, size));
        System.out.println("file " + download());
        System.out.println("timeout " + timeout());
    }

    private static byte[] random(int seed, int size) {
        byte[] bytes = new byte[size];
        new Random(seed).nextBytes(bytes);
        return bytes;
    }

    private static Socket open(String service) throws IOException {
        Socket socket = new Socket();
        socket.connect(address, 10_000);
        byte[] greeting = socket.getInputStream().readNBytes(6);
        if (!new String(greeting, StandardCharsets.ISO_8859_1).equals("ready\n")) {
            throw new IOException("no greeting");
        }
        socket.getOutputStream().write((service + "\n").getBytes(StandardCharsets.ISO_8859_1));
        return socket;
    }

    /** A writer and a reader thread for each connection. */
    private static int blocking(int count, int size) throws Exception {
        ExecutorService threads = Executors.newCachedThreadPool();
        AtomicInteger right = new AtomicInteger();
        for (int number = 0; number < count; number++) {
            byte[] bytes = random(number, size);
            threads.execute(() -> {
                try (Socket socket = open("echo")) {
                    threads.execute(() -> write(socket, bytes));
                    if (Arrays.equals(socket.getInputStream().readAllBytes(), bytes)) {
                        right.incrementAndGet();
                    }
                } catch (IOException error) {
                    System.out.println(error);
                }
            });
        }
        while (right.get() < count && !threads.awaitTermination(20, TimeUnit.MILLISECONDS)) { }
        threads.shutdown();
        return right.get();
    }

    private static void write(Socket socket, byte[] bytes) {
        try {
            for (int offset = 0; offset < bytes.length; offset += 777) {
                socket.getOutputStream().write(bytes, offset, Math.min(777, bytes.length - offset));
            }
            socket.shutdownOutput();
        } catch (IOException error) {
            System.out.println(error);
        }
    }

    private static final class Transfer {
        final ByteBuffer out;
        final ByteBuffer in;
        final byte[] expected;

        Transfer(byte[] bytes) {
            byte[] command = "echo\n".getBytes(StandardCharsets.ISO_8859_1);
            out = ByteBuffer.allocate(command.length + bytes.length).put(command).put(bytes).flip();
            byte[] greeting = "ready\n".getBytes(StandardCharsets.ISO_8859_1);
            expected = ByteBuffer.allocate(greeting.length + bytes.length).put(greeting).put(bytes).array();
            in = ByteBuffer.allocate(expected.length + 1);
        }

        /** Whether it is over. */
        boolean step(SelectionKey key) throws IOException {
            SocketChannel channel = (SocketChannel) key.channel();
            if (key.isConnectable() && channel.finishConnect()) {
                key.interestOps(SelectionKey.OP_READ | SelectionKey.OP_WRITE);
                return false;
            }
            if (key.isWritable()) {
                channel.write(out);
                if (!out.hasRemaining()) {
                    key.interestOps(SelectionKey.OP_READ);
                    channel.shutdownOutput();
                }
            }
            return key.isReadable() && channel.read(in) < 0;
        }

        boolean right() {
            return in.position() == expected.length && Arrays.equals(Arrays.copyOf(in.array(), expected.length), expected);
        }
    }

    private static int channels(int count, int size) throws IOException {
        Selector selector = Selector.open();
        for (int number = 0; number < count; number++) {
            SocketChannel channel = SocketChannel.open();
            channel.configureBlocking(false);
            boolean connected = channel.connect(address);
            channel.register(selector, connected ? SelectionKey.OP_READ | SelectionKey.OP_WRITE : SelectionKey.OP_CONNECT,
                    new Transfer(random(number, size)));
        }
        int right = 0;
        for (int left = count; left > 0; ) {
            selector.select();
            for (SelectionKey key : selector.selectedKeys()) {
                Transfer transfer = (Transfer) key.attachment();
                if (transfer.step(key)) {
                    right += transfer.right() ? 1 : 0;
                    left--;
                    key.channel().close();
                }
            }
            selector.selectedKeys().clear();
        }
        return right;
    }

    private static String download() throws Exception {
        MessageDigest digest = MessageDigest.getInstance("SHA-256");
        try (Socket socket = open("file")) {
            InputStream in = socket.getInputStream();
            byte[] bytes = new byte[50000];
            for (int got = in.read(bytes); got >= 0; got = in.read(bytes)) {
                digest.update(bytes, 0, got);
            }
        }
        return HexFormat.of().formatHex(digest.digest());
    }

    /** Nothing comes: the read ends when its time does, and the connection lives on. */
    private static String timeout() throws IOException {
        try (Socket socket = open("echo")) {
            socket.setSoTimeout(50);
            try {
                return "read " + socket.getInputStream().read();
            } catch (SocketTimeoutException error) {
                socket.getOutputStream().write('x');
                socket.setSoTimeout(10_000);
                return "then " + (char) socket.getInputStream().read();
            }
        }
    }
}
