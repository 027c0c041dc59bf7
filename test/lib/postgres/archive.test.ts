import {expect} from 'chai'
import {execFileSync} from 'node:child_process'
import {readFile, writeFile} from 'node:fs/promises'
import {join} from 'node:path'
import {parseArchive, readArchiveHead, readerMajor, type Archive} from '../../../src/lib/postgres/archive.ts'
import {testCluster} from '../../support/cluster.ts'
import {drErrorOf} from '../../support/rejection.ts'
import {temporaryFolder} from '../../support/temporary.ts'
import {clientTools} from '../../support/tools.ts'

/** A table of contents of format 1.16 as PostgreSQL 10 or 11 would have written it: without compression's name, access methods and kinds of relations. */
function asOfOld(toc: Buffer, minor: 12 | 13): Buffer {
  const out: Buffer[] = [toc.subarray(0, 6), Buffer.from([minor]), toc.subarray(7, 11)]
  let at = 11
  const copy = (length: number, keep = true) => {
    if (keep) out.push(toc.subarray(at, at + length))
    at += length
  }
  const int = (keep = true): number => {
    const value = toc.readUIntLE(at + 1, 4) * (toc[at] === 0 ? 1 : -1)
    copy(5, keep)
    return value
  }
  const text = (keep = true): number => {
    const length = int(keep)
    copy(Math.max(0, length), keep)
    return length
  }
  // A byte names the compression; in older formats an integer is its level.
  copy(1, false)
  out.push(Buffer.from([0, 0, 0, 0, 0]))
  for (let field = 0; field < 7; field += 1) int()
  for (let field = 0; field < 3; field += 1) text()
  for (let left = int(); left > 0; left -= 1) {
    for (const is of [int, int, text, text, text, text, int, text, text, text, text, text]) is()
    text(false)
    int(false)
    text()
    text()
    while (text() >= 0);
    text()
  }
  return Buffer.concat(out)
}

describe('the table of contents of an archive', () => {
  const folder = temporaryFolder()
  let url = ''
  let bin = ''

  before(async function () {
    this.timeout(120_000)
    url = await (await testCluster({major: 18})).createDatabase('archive_test')
    bin = await clientTools(18)
    execFileSync(`${bin}/psql`, ['-X', '-q', '-d', url, '-c', 'CREATE TABLE leads (id serial PRIMARY KEY, note text); CREATE INDEX ON leads (note)'])
  })

  const dump = (...args: string[]) => execFileSync(`${bin}/pg_dump`, [...args, url], {stdio: ['ignore', 'pipe', 'ignore']})
  const shown = ({entries}: Archive) => entries.map(({dumpId, kind, tag, owner, section, definition, copyStatement, dependencies}) => ({dumpId, kind, tag, owner, section, definition, copyStatement, dependencies}))

  it('is read from a custom archive as from a directory', async () => {
    const directory = join(folder.path, 'directory')
    const custom = join(folder.path, 'custom')
    dump('-Fd', '-f', directory)
    await writeFile(custom, dump('-Fc'))
    const [one, other] = [parseArchive(await readFile(join(directory, 'toc.dat'))), await readArchiveHead(custom)]
    expect(shown(other)).to.deep.equal(shown(one))
    expect(other).to.include({database: 'archive_test', formatVersion: '1.16', compression: 'gzip'})
    expect(one.entries.find(({kind}) => kind === 'TABLE DATA')?.file).to.match(/^\d+\.dat$/)
  })

  it('is told when it ends too early', async () => {
    const custom = dump('-Fc')
    await writeFile(join(folder.path, 'cut'), custom.subarray(0, 800))
    expect(await drErrorOf(readArchiveHead(join(folder.path, 'cut')))).to.include({code: 'archive.truncated', exitCode: 4})
  })

  for (const minor of [12, 13] as const) {
    it(`of format 1.${minor}, as PostgreSQL before 12 wrote it, is read as pg_restore reads it`, async () => {
      const directory = join(folder.path, 'directory')
      dump('-Fd', '-f', directory)
      const toc = await readFile(join(directory, 'toc.dat'))
      const old = asOfOld(toc, minor)
      await writeFile(join(directory, 'toc.dat'), old)
      const listed = execFileSync(`${bin}/pg_restore`, ['--list', directory], {encoding: 'utf8'}).split('\n').flatMap((line) => /^(\d+); /.exec(line)?.[1] ?? [])
      const archive = parseArchive(old)
      expect(shown(archive)).to.deep.equal(shown(parseArchive(toc)))
      expect(archive.entries.map(({dumpId}) => String(dumpId))).to.include.members(listed)
      expect(listed.length).to.be.above(4)
      expect(readerMajor(archive)).to.be.lessThan(12)
    })
  }
})
