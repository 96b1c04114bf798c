# SPDX-License-Identifier: MIT
use strict; use warnings; use POSIX (); use List::Util qw(sum); use Digest::SHA qw(sha1_hex); use File::Temp qw(tempdir);
print sum(map { $_ ** 2 } 1 .. 100), "\n", sha1_hex("abc"), "\n";
my %h; $h{$_ % 7}++ for 1 .. 1000; print join(",", map { "$_=$h{$_}" } sort keys %h), "\n";
my $d = tempdir(CLEANUP => 1);
open(my $f, ">", "$d/x") or die; print $f "line $_\n" for 1 .. 1000; close $f;
open($f, "<", "$d/x") or die; my $n = 0; $n++ while <$f>; close $f; print "$n ", -s "$d/x", "\n";
my $pid = fork(); if (!$pid) { exit 9 } waitpid($pid, 0); print $? >> 8, "\n";
print `echo backticks; exit 3`, $? >> 8, "\n";
open(my $p, "|-", "sort -n") or die; $| = 1; print $p "3\n1\n2\n"; close $p;
local $SIG{ALRM} = sub { print "alarm\n" }; alarm 1; select(undef, undef, undef, 3);
(my $t = "The quick brown fox") =~ s/(\w+)/\u\L$1/g; print "$t\n"; print POSIX::strftime("%Y-%m-%d", gmtime(86400 * 365)), "\n";
