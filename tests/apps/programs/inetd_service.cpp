/* SPDX-License-Identifier: ISC
 * Copyright (c) 2026 the sockseal authors */

/* A service under inetd, by iostreams: as they are, without stdio behind them, or over a descriptor. */

#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string>

#include <ext/stdio_filebuf.h>
#include <unistd.h>

struct goodbye {
    std::ostream &out;
    ~goodbye()
    {
        std::cerr << "a complaint" << std::endl;
        out << "goodbye" << std::endl;
    }
};

static int serve(std::istream &in, std::ostream &out)
{
    std::string line;
    goodbye at_end{out};
    out << "welcome" << std::endl;
    while (std::getline(in, line) && line != "quit") {
        out << "you said: " << line << '\n' << std::flush;
        FILE *upper = popen(("echo '" + line + "' | tr a-z A-Z").c_str(), "r");
        for (int c; upper && (c = fgetc(upper)) != EOF;)
            out.put(static_cast<char>(c));
        if (!upper || pclose(upper) != 0)
            return 1;
        out.flush();
    }
    return 0;
}

int main()
{
#if defined WITH_FILEBUF
    __gnu_cxx::stdio_filebuf<char> in(0, std::ios::in), out(dup(1), std::ios::out);
    std::istream input(&in);
    std::ostream output(&out);
    return serve(input, output);
#else
#if defined WITHOUT_STDIO
    std::ios::sync_with_stdio(false);
#endif
    return serve(std::cin, std::cout);
#endif
}
