// SPDX-License-Identifier: ISC
// Copyright (c) 2026 the sockseal authors

// The server of tests/support/services.py on Boost.Asio: callbacks, its epoll reactor (edge-triggered), two threads
// with a strand for each connection.

#include <array>
#include <boost/asio.hpp>
#include <boost/crc.hpp>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iostream>
#include <memory>
#include <sstream>
#include <string>
#include <thread>

namespace asio = boost::asio;
using boost::system::error_code;
using tcp = asio::ip::tcp;

class Connection : public std::enable_shared_from_this<Connection> {
public:
    Connection(tcp::socket socket, const std::string &path)
        : socket_(std::move(socket)), timer_(socket_.get_executor()), path_(path)
    {
    }

    void start()
    {
        out_ = "ready\n";
        asio::async_write(socket_, asio::buffer(out_), [self = shared_from_this()](error_code error, size_t) {
            if (!self->failed(error))
                self->read_line();
        });
    }

private:
    tcp::socket socket_;
    asio::steady_timer timer_;
    std::string path_, in_, out_, pending_;
    std::ifstream file_;
    std::array<char, 65536> piece_{};
    boost::crc_32_type sum_;
    size_t count_ = 0;
    int turn_ = 0, turns_ = 0, interval_ = 0;
    bool reading_ = true, writing_ = false;

    bool failed(error_code error)
    {
        if (error)
            std::printf("error %s\n", strerrorname_np(error.value()));
        return bool(error);
    }

    void read_line()
    {
        asio::async_read_until(socket_, asio::dynamic_buffer(in_), '\n',
                               [self = shared_from_this()](error_code error, size_t length) {
                                   if (error == asio::error::eof || self->failed(error))
                                       return;
                                   std::istringstream words(self->in_.substr(0, length - 1));
                                   self->in_.erase(0, length);
                                   self->begin(words);
                               });
    }

    void begin(std::istringstream &words)
    {
        std::string service;
        words >> service >> turns_ >> interval_;
        if (service == "echo") {
            echo();
        } else if (service == "sink") {
            take(in_.data(), in_.size());
            sink();
        } else if (service == "file") {
            file_.open(path_, std::ios::binary);
            send_file();
        } else if (service == "tick") {
            pending_ = in_;
            timer_.expires_after(std::chrono::milliseconds(interval_));
            wait_tick();
            read_tick();
        } else if (service == "reset") {
            asio::write(socket_, asio::buffer("last words\n", 11));
            socket_.set_option(asio::socket_base::linger(true, 0));
            socket_.close();
        }
    }

    // Sends back what stands in in_, then reads on.
    void echo()
    {
        asio::async_write(socket_, asio::buffer(in_), [self = shared_from_this()](error_code error, size_t) {
            if (self->failed(error))
                return;
            self->socket_.async_read_some(asio::buffer(self->piece_), [self](error_code error, size_t length) {
                if (error == asio::error::eof || self->failed(error))
                    return;
                self->in_.assign(self->piece_.data(), length);
                self->echo();
            });
        });
    }

    void take(const char *bytes, size_t length)
    {
        sum_.process_bytes(bytes, length);
        count_ += length;
    }

    void sink()
    {
        asio::async_read(socket_, asio::buffer(piece_), [self = shared_from_this()](error_code error, size_t length) {
            self->take(self->piece_.data(), length);
            if (!error)
                return self->sink();
            if (error != asio::error::eof && self->failed(error))
                return;
            char text[64];
            std::snprintf(text, sizeof text, "%zu %08x\n", self->count_, self->sum_.checksum());
            self->out_ = text;
            asio::async_write(self->socket_, asio::buffer(self->out_),
                              [self](error_code error, size_t) { self->failed(error); });
        });
    }

    void send_file()
    {
        file_.read(piece_.data(), piece_.size());
        if (file_.gcount() == 0)
            return;
        asio::async_write(socket_, asio::buffer(piece_.data(), size_t(file_.gcount())),
                          [self = shared_from_this()](error_code error, size_t) {
                              if (!self->failed(error))
                                  self->send_file();
                          });
    }

    // One write at a time; what comes meanwhile waits.
    void flush()
    {
        if (writing_ || pending_.empty())
            return;
        writing_ = true;
        out_.swap(pending_);
        pending_.clear();
        asio::async_write(socket_, asio::buffer(out_), [self = shared_from_this()](error_code error, size_t) {
            self->writing_ = false;
            if (!self->failed(error))
                self->flush();
        });
    }

    void wait_tick()
    {
        timer_.async_wait([self = shared_from_this()](error_code error) {
            if (error)
                return;
            self->pending_ += "tick " + std::to_string(self->turn_++) + "\n";
            self->flush();
            self->timer_.expires_at(self->timer_.expiry() + std::chrono::milliseconds(self->interval_));
            if (self->turn_ < self->turns_)
                self->wait_tick();
        });
    }

    void read_tick()
    {
        socket_.async_read_some(asio::buffer(piece_), [self = shared_from_this()](error_code error, size_t length) {
            if (error == asio::error::eof || self->failed(error))
                return;
            self->pending_.append(self->piece_.data(), length);
            self->flush();
            self->read_tick();
        });
    }
};

static void accept_next(tcp::acceptor &acceptor, asio::io_context &context, const std::string &path)
{
    acceptor.async_accept(asio::make_strand(context), [&acceptor, &context, path](error_code error, tcp::socket socket) {
        if (!error)
            std::make_shared<Connection>(std::move(socket), path)->start();
        if (acceptor.is_open())
            accept_next(acceptor, context, path);
    });
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    std::setvbuf(stdout, nullptr, _IOLBF, 0);
    asio::io_context context;
    tcp::acceptor acceptor(context, {asio::ip::make_address(argv[1]), uint16_t(std::stoi(argv[2]))});
    acceptor.listen(1024);
    asio::signal_set signals(context, SIGTERM);
    signals.async_wait([&](error_code, int) { context.stop(); });
    accept_next(acceptor, context, argv[3]);
    std::thread second([&] { context.run(); });
    context.run();
    second.join();
    return 0;
}
