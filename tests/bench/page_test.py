#!/usr/bin/python3
# SPDX-License-Identifier: ISC
# Copyright (c) 2026 the sockseal authors
"""The figures of the top README: where they are written, and that its sentences say what its table says."""
import re
import sys
import tempfile
import unittest

from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import page
import peers as p


def readme():
    return page.TOP.read_text()


def result():
    """What a run gives, with ratios that are told apart."""
    peers = {peer: {"ratio": (number + 1) / 10, "median": 1000} for number, peer in
             enumerate((p.PLAIN, p.AEGIS, p.CHACHA, p.TLS_AES, p.STUNNEL, p.SSH, p.SPIPED))}
    parts = {}
    for part, label, _ in page.ROWS:
        parts.setdefault(part, {"rows": []})["rows"].append({"label": label, "unit": "us", "peers": peers})
    return {"parts": parts}


class Figures(unittest.TestCase):
    def test_the_sentence_says_what_the_table_says(self):
        text = readme()
        table = {cells[0].strip(): [cell.strip() for cell in cells[1:]] for cells in
                 (line.strip("|").split("|") for line in text.splitlines() if line.startswith("| ") and line.count("|") == 9)}
        rows = [table[name] for name in ("iperf3, one stream", "redis GET, 50 clients", "new connections, one request each")]
        sentence = " ".join(re.search(r"<!-- cost: begin.*?-->(.*?)<!-- cost: end", text, re.DOTALL).group(1).split())
        for name, column in (("sockseal", 1), ("stunnel", 4), ("`ssh -L`", 5), ("spiped", 6)):
            self.assertIn(f"{name} {', '.join(row[column] for row in rows)}", sentence)

    def test_both_are_written_where_they_stand(self):
        sentence = " ".join(page.cost(result()))
        self.assertIn("sockseal 0.20, 0.20, 0.20; stunnel 0.50, 0.50, 0.50; `ssh -L` 0.60", sentence)
        with tempfile.TemporaryDirectory() as directory:
            copy = Path(directory) / "README.md"
            copy.write_text(readme())
            self.assertTrue(page.between(copy, "cost", [sentence]))
            self.assertTrue(page.between(copy, "figures", ["| a table |"]))
            text = copy.read_text()
        self.assertIn(sentence, text)
        self.assertIn("-->\n| a table |\n<!-- figures: end", text)

    def test_without_a_part_nothing_is_written(self):
        partial = result()
        del partial["parts"]["connections"]
        self.assertIsNone(page.cost(partial))


if __name__ == "__main__":
    unittest.main()
