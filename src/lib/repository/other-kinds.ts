/** What a file is that is no dump of PostgreSQL's, in words that follow «it is». */
export interface OtherKind {
  what: string
  /** What can be done with it, where something can. */
  hint?: string
}

type Rule = OtherKind & {is: RegExp}

const DECRYPT = 'Decrypt it first, and restore what comes out.'
const UNPACK = 'Unpack it first, and restore what comes out.'
const PAGE = 'The download went wrong: fetch the dump again, and look at the address and the credentials.'

/** By the first bytes as latin1. The first that fits counts. */
const BINARY: readonly Rule[] = [
  {is: /^SQLite format 3\0/, what: 'a database file of SQLite'},
  {is: /^REDIS\d{4}/, what: 'a dump of Redis'},
  {is: /^TAPE/, what: 'a backup of Microsoft SQL Server'},
  {is: /^\x6d\xe2\x99\x81/, what: 'a dump of MongoDB'},
  {is: /^PGCOPY\n\xff\r\n\0/, what: 'the data of one table, as COPY writes it in its binary format', hint: 'Load it by hand: \\copy TABLE FROM FILE WITH (FORMAT binary)'},
  {is: /^PK\x03\x04/, what: 'a zip archive', hint: UNPACK},
  {is: /^BZh\d/, what: 'compressed with bzip2, which dr cannot read', hint: 'Unpack it first: bunzip2 --keep FILE'},
  {is: /^\xfd7zXZ\0/, what: 'compressed with xz, which dr cannot read', hint: 'Unpack it first: unxz --keep FILE'},
  {is: /^7z\xbc\xaf\x27\x1c/, what: 'a 7-Zip archive', hint: UNPACK},
  {is: /^age-encryption\.org\/v1/, what: 'encrypted with age', hint: DECRYPT},
  {is: /^-----BEGIN (PGP|AGE) /, what: 'encrypted with PGP or age', hint: DECRYPT},
  {is: /^Salted__/, what: 'encrypted with openssl', hint: DECRYPT},
  {is: /^(\xff\xfe|\xfe\xff)/, what: 'text in UTF-16', hint: 'Convert it: iconv -f UTF-16 -t UTF-8 FILE > NEW'},
  {is: /^\x03?EXPORT:V/, what: 'a dump of Oracle'},
]

/** By the first text, without a byte order mark. */
const TEXT: readonly Rule[] = [
  {is: /^\s*<\?xml[^>]*>\s*<Error>/i, what: 'an error answer of S3', hint: PAGE},
  {is: /^\s*(<!doctype html|<html|<head|<body|<!--)/i, what: 'an HTML page', hint: PAGE},
  {is: /^\s*<\?xml/i, what: 'XML'},
  {is: /^\s*[[{]\s*["[{}\]]/, what: 'JSON'},
  {is: /^version https:\/\/git-lfs/, what: 'a pointer of Git LFS, not the file itself', hint: 'git lfs pull'},
  {is: /^\s*PRAGMA foreign_keys\s*=\s*OFF;/i, what: 'a dump of SQLite'},
  {is: /^\/\*M?!\d{5,6}|^-- (MySQL|MariaDB) dump|^-- phpMyAdmin SQL Dump|^-- Adminer [\d.]+ MySQL|^\) ENGINE ?= ?\w|^CREATE (DATABASE|TABLE) (IF NOT EXISTS )?`|^LOCK TABLES `|^USE `/im, what: 'a dump of MySQL or MariaDB'},
  {is: /^\s*(USE \[[^\]]+\]|SET ANSI_NULLS ON)\s*\r?\nGO\b/i, what: 'a script of Microsoft SQL Server'},
]

/** The first file of a tar that is none of pg_dump's. */
const TAR_NAMES: readonly Rule[] = [
  {is: /^(\.\/)?(backup_label|tablespace_map|PG_VERSION|base\/|global\/|pg_wal\/|backup_manifest)/, what: 'a copy of a whole server, as pg_basebackup makes it', hint: 'Unpack it into an empty data directory, and start a server of the same major there.'},
  {is: /(^|\/)toc\.dat$|\/$/, what: 'a tar with a folder in it', hint: 'Unpack it, and name the folder that holds toc.dat.'},
  {is: /^/, what: 'a tar, but not one of pg_dump', hint: UNPACK},
]

/** What these first bytes are when they are no dump of PostgreSQL's. Undefined when that is not known either. */
export function otherKind(head: Buffer): OtherKind | undefined {
  if (head.length === 0) return {what: 'empty'}
  const latin = head.toString('latin1', 0, 4096)
  if (head.toString('latin1', 257, 262) === 'ustar') return kept(TAR_NAMES, latin.slice(0, 100).replace(/\0.*$/s, ''))
  const binary = kept(BINARY, latin)
  if (binary) return binary
  const text = head.toString('utf8', 0, 4096).replace(/^\uFEFF/, '')
  // The rows of a small dump may hold any text.
  if (/^-- PostgreSQL database (cluster )?dump\s*$/m.test(text.slice(0, 500))) return undefined
  if (/^\0+$/.test(text)) return {what: 'nothing but zero bytes', hint: 'The file was never written, or the disk that it lay on has lost it.'}
  return text.includes('\0') ? undefined : kept(TEXT, text)
}

function kept(rules: readonly Rule[], text: string): OtherKind | undefined {
  const rule = rules.find(({is}) => is.test(text))
  return rule && {what: rule.what, ...(rule.hint !== undefined && {hint: rule.hint})}
}
