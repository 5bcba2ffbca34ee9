# Work of many scalars and hashes for perl: splitting, hashes of arrays, sorting, substitution. Prints sums.
#
# usage: perl.pl COUNT
use strict;
use warnings;

my ($count) = @ARGV;
my $state = 1;

sub random {
    my ($limit) = @_;
    $state = ($state * 1103515245 + 12345) & 0x7fffffff;
    return ($state >> 8) % $limit;
}

my $text = join ' ', map { sprintf 'w%x:%d', random($count), random(1000) } 1 .. $count * 20;
my %places;
for my $pair (split / /, $text) {
    my ($word, $value) = split /:/, $pair;
    push @{$places{$word}}, $value;
}
my ($length, $sum) = (0, 0);
for my $word (sort keys %places) {
    my @sorted = sort { $a <=> $b } @{$places{$word}};
    my $line = "$word=" . join ',', @sorted;
    $line =~ s/(\d+)/<$1>/g;
    $length += length $line;
    $sum = ($sum + $_) & 0xffffffff for @sorted;
}
my @records = map { {name => "r$_", place => [$_, random(100)], text => 'x' x random(200)} } 1 .. $count * 4;
for my $record (sort { $a->{place}[1] <=> $b->{place}[1] || $a->{place}[0] <=> $b->{place}[0] } @records) {
    $sum = ($sum * 31 + length($record->{text}) + length($record->{name})) & 0xffffffff;
}
print "$length $sum\n";
