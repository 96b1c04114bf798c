# SPDX-License-Identifier: MIT
# 100,000 rows into a file and back, by two programs after another.
rm -rf /tmp/pal-case-sqlite && mkdir /tmp/pal-case-sqlite && cd /tmp/pal-case-sqlite || exit 1
sqlite3 db 'pragma journal_mode=wal; create table t(a integer primary key, b text, c real);' 
(echo 'begin;'; seq 1 100000 | awk '{ printf "insert into t values(%d, \"row %d\", %f);\n", $1, $1 * 7 % 1000, $1 / 3 }'; echo 'commit;') | sqlite3 db
sqlite3 db 'select count(*), sum(a), max(b), round(avg(c), 3) from t; create index i on t(b); select count(*) from t where b = "row 7"; pragma integrity_check;'
sqlite3 db .dump | sha256sum; ls
cd / && rm -rf /tmp/pal-case-sqlite
