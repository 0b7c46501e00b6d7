"""The version of every protocol of this package; peers with another one are refused."""

VERSION = 3
