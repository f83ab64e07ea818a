// SPDX-License-Identifier: ISC
// Copyright (c) 2026 the sockseal authors

import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.StandardSocketOptions;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.HexFormat;

/** The server of tests/support/services.py with a Selector: one thread, channels that do not block, transferTo. */
final class NioServices {
    private static final int HIGH = 1 << 20;

    private final Selector selector = Selector.open();
    private final ByteBuffer in = ByteBuffer.allocateDirect(1 << 16);
    private final Path path;

    private NioServices(Path path) throws IOException {
        this.path = path;
    }

    public static void main(String[] arguments) throws Exception {
        sun.misc.Signal.handle(new sun.misc.Signal("TERM"), signal -> System.exit(0));
        ServerSocketChannel listener = ServerSocketChannel.open();
        listener.bind(new InetSocketAddress(arguments[0], Integer.parseInt(arguments[1])), 1024);
        new NioServices(Path.of(arguments[2])).run(listener);
    }

    private void run(ServerSocketChannel listener) throws IOException {
        listener.configureBlocking(false).register(selector, SelectionKey.OP_ACCEPT);
        while (true) {
            selector.select(untilTick());
            for (SelectionKey key : selector.keys()) {
                if (key.attachment() instanceof Connection connection && key.isValid()) {
                    connection.tick();
                }
            }
            for (SelectionKey key : selector.selectedKeys()) {
                if (key.isValid() && key.isAcceptable()) {
                    accept(listener);
                } else if (key.attachment() instanceof Connection connection) {
                    connection.ready();
                }
            }
            selector.selectedKeys().clear();
        }
    }

    private long untilTick() {
        long wait = Long.MAX_VALUE;
        for (SelectionKey key : selector.keys()) {
            if (key.attachment() instanceof Connection connection && connection.turn < connection.turns) {
                wait = Math.min(wait, connection.due - System.nanoTime());
            }
        }
        return wait == Long.MAX_VALUE ? 0 : Math.max(1, wait / 1_000_000);
    }

    private void accept(ServerSocketChannel listener) throws IOException {
        for (SocketChannel channel = listener.accept(); channel != null; channel = listener.accept()) {
            channel.configureBlocking(false);
            channel.setOption(StandardSocketOptions.TCP_NODELAY, true);
            Connection connection = new Connection(channel, channel.register(selector, SelectionKey.OP_READ));
            connection.put("ready\n");
            connection.ready();
        }
    }

    /** One client; its interest follows from what stands to be sent. */
    private final class Connection {
        final SocketChannel channel;
        final SelectionKey key;
        ByteBuffer out = ByteBuffer.allocate(1 << 17).flip();
        StringBuilder line = new StringBuilder();
        String service;
        boolean ended;
        FileChannel file;
        long offset, count, due, interval;
        int turn, turns;
        MessageDigest digest;

        Connection(SocketChannel channel, SelectionKey key) {
            this.channel = channel;
            this.key = key;
            key.attach(this);
        }

        void put(String text) {
            put(ByteBuffer.wrap(text.getBytes(StandardCharsets.ISO_8859_1)));
        }

        void put(ByteBuffer bytes) {
            out.compact();
            if (out.remaining() < bytes.remaining()) {
                ByteBuffer larger = ByteBuffer.allocate(2 * (out.position() + bytes.remaining()));
                out = larger.put(out.flip());
            }
            out.put(bytes).flip();
        }

        void ready() {
            try {
                if (key.isReadable()) {
                    receive();
                }
                if (channel.isOpen()) {
                    send();
                }
            } catch (IOException | java.security.GeneralSecurityException error) {
                failed(error);
            }
        }

        void failed(Exception error) {
            String text = String.valueOf(error.getMessage());
            System.out.println("error " + (text.contains("reset") ? "ECONNRESET" : text.contains("pipe") ? "EPIPE" : text));
            close();
        }

        void close() {
            try {
                channel.close();
                if (file != null) {
                    file.close();
                }
            } catch (IOException error) {
                throw new IllegalStateException(error);
            }
        }

        void receive() throws IOException, java.security.GeneralSecurityException {
            in.clear();
            int got = channel.read(in);
            in.flip();
            while (service == null && in.hasRemaining()) {
                char letter = (char) in.get();
                if (letter == '\n') {
                    begin(line.toString().split(" "));
                } else {
                    line.append(letter);
                }
            }
            if (digest != null) {
                count += in.remaining();
                digest.update(in);
            } else if (in.hasRemaining()) {
                put(in);
            }
            if (got < 0) {
                ended = true;
                if (digest != null) {
                    put(count + " " + HexFormat.of().formatHex(digest.digest()) + "\n");
                }
            }
        }

        void begin(String[] words) throws IOException, java.security.GeneralSecurityException {
            service = words[0];
            switch (service) {
                case "sink" -> digest = MessageDigest.getInstance("SHA-256");
                case "file" -> file = FileChannel.open(path);
                case "tick" -> {
                    turns = Integer.parseInt(words[1]);
                    interval = Long.parseLong(words[2]) * 1_000_000;
                    due = System.nanoTime() + interval;
                }
                case "reset" -> {
                    channel.write(ByteBuffer.wrap("last words\n".getBytes(StandardCharsets.ISO_8859_1)));
                    channel.setOption(StandardSocketOptions.SO_LINGER, 0);
                    close();
                }
                default -> { }
            }
        }

        void tick() {
            while (turn < turns && System.nanoTime() >= due) {
                put("tick " + turn++ + "\n");
                due += interval;
            }
            if (out.hasRemaining()) {
                key.interestOpsOr(SelectionKey.OP_WRITE);
            } else if (ended && turn == turns && turns > 0) {
                close();
            }
        }

        void send() throws IOException {
            while (out.hasRemaining() && channel.write(out) > 0) { }
            if (file != null && !out.hasRemaining()) {
                offset += file.transferTo(offset, file.size() - offset, channel);
            }
            boolean more = out.hasRemaining() || (file != null && offset < file.size());
            if (!more && turn == turns && (ended || file != null)) {
                close();
                return;
            }
            key.interestOps((more ? SelectionKey.OP_WRITE : 0)
                    | (!ended && file == null && out.remaining() < HIGH ? SelectionKey.OP_READ : 0));
        }
    }
}
