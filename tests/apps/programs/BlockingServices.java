// SPDX-License-Identifier: ISC
// Copyright (c) 2026 the sockseal authors

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.SocketTimeoutException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.HexFormat;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

/** The server of tests/support/services.py with java.net: a thread for each connection, a virtual one if Java has them. */
final class BlockingServices {
    private static Path path;

    public static void main(String[] arguments) throws Exception {
        sun.misc.Signal.handle(new sun.misc.Signal("TERM"), signal -> System.exit(0));
        path = Path.of(arguments[2]);
        ServerSocket listener = new ServerSocket(Integer.parseInt(arguments[1]), 1024, InetAddress.getByName(arguments[0]));
        ExecutorService threads = threads();
        while (true) {
            Socket socket = listener.accept();
            threads.execute(() -> run(socket));
        }
    }

    /** Virtual threads came with Java 21. */
    private static ExecutorService threads() {
        try {
            return (ExecutorService) Executors.class.getMethod("newVirtualThreadPerTaskExecutor").invoke(null);
        } catch (ReflectiveOperationException error) {
            return Executors.newCachedThreadPool();
        }
    }

    private static void run(Socket socket) {
        try (socket) {
            socket.setTcpNoDelay(true);
            serve(socket, socket.getInputStream(), socket.getOutputStream());
        } catch (IOException error) {
            String text = String.valueOf(error.getMessage());
            System.out.println("error " + (text.contains("reset") ? "ECONNRESET" : text.contains("pipe") ? "EPIPE" : text));
        } catch (Exception error) {
            error.printStackTrace();
        }
    }

    private static byte[] ascii(String text) {
        return text.getBytes(StandardCharsets.ISO_8859_1);
    }

    private static void serve(Socket socket, InputStream in, OutputStream out) throws Exception {
        out.write(ascii("ready\n"));
        StringBuilder line = new StringBuilder();
        for (int letter = in.read(); letter != '\n'; letter = in.read()) {
            if (letter < 0) {
                return;
            }
            line.append((char) letter);
        }
        String[] words = line.toString().split(" ");
        switch (words[0]) {
            case "echo" -> in.transferTo(out);
            case "sink" -> sink(in, out);
            case "file" -> Files.copy(path, out);
            case "tick" -> tick(socket, in, out, Integer.parseInt(words[1]), Integer.parseInt(words[2]));
            case "reset" -> {
                out.write(ascii("last words\n"));
                socket.setSoLinger(true, 0);
            }
            default -> throw new IllegalArgumentException(line.toString());
        }
    }

    private static void sink(InputStream in, OutputStream out) throws Exception {
        MessageDigest digest = MessageDigest.getInstance("SHA-256");
        byte[] bytes = new byte[30000];
        long count = 0;
        for (int got = in.read(bytes); got > 0; got = in.read(bytes)) {
            digest.update(bytes, 0, got);
            count += got;
        }
        out.write(ascii(count + " " + HexFormat.of().formatHex(digest.digest()) + "\n"));
    }

    /** With a time-out for each read, and a second thread that writes at the same time. */
    private static void tick(Socket socket, InputStream in, OutputStream out, int turns, int interval) throws Exception {
        Thread ticker = new Thread(() -> {
            try {
                for (int turn = 0; turn < turns; turn++) {
                    Thread.sleep(interval);
                    out.write(ascii("tick " + turn + "\n"));
                }
            } catch (IOException | InterruptedException error) {
                error.printStackTrace();
            }
        });
        ticker.start();
        socket.setSoTimeout(3);
        BufferedReader lines = new BufferedReader(new InputStreamReader(in, StandardCharsets.ISO_8859_1));
        StringBuilder line = new StringBuilder();
        while (true) {
            try {
                int letter = lines.read();
                if (letter < 0) {
                    break;
                }
                line.append((char) letter);
                if (letter == '\n') {
                    out.write(ascii(line.toString()));
                    line.setLength(0);
                }
            } catch (SocketTimeoutException error) {
                continue;
            }
        }
        ticker.join();
    }
}
