import {expect} from 'chai'
import {chooseCompression, dumpArguments, dumpJobs, finishedItems} from '../../../src/lib/postgres/dump.ts'
import {chooseForDump, chooseForRestore, findTools, knowsZstd, type ClientTools} from '../../../src/lib/postgres/tools.ts'
import {clientTools} from '../../support/tools.ts'

const tools = (version: string): ClientTools => ({directory: `/x/${version}`, version, major: Number.parseInt(version, 10), pgDump: '/x/pg_dump', pgRestore: '/x/pg_restore'})
const caught = (work: () => unknown): unknown => {
  try {
    return work()
  } catch (error) {
    return error
  }
}

describe('what pg_dump says', () => {
  it('finds finished items in torn lines', () => {
    expect(finishedItems('pg_dump: finished item 3611 TABLE DATA gen')).to.deep.equal([{dumpId: 3611, kind: 'TABLE DATA'}])
    expect(finishedItems('pg_dump:pg_dump:  dumping contents of table "a"finished item 3642 BLOBS 4243')).to.deep.equal([{dumpId: 3642, kind: 'BLOBS'}])
    expect(finishedItems('pg_dump: finished item 1 TABLE DATA apg_dump: finished item 2 TABLE DATA b')).to.have.length(2)
    expect(finishedItems('pg_dump: reading schemas')).to.deep.equal([])
  })
})

describe('the client tools', () => {
  it('are the own major from 16 on, else the newest', () => {
    const found = [tools('18.1'), tools('17.5'), tools('16.2'), tools('15.9')]
    expect(chooseForDump(found, 17).major).to.equal(17)
    expect(chooseForDump(found, 15).major).to.equal(18)
    expect(chooseForDump([tools('15.9')], 15).major).to.equal(15)
    expect(chooseForDump([tools('18.1')], 16).major).to.equal(18)
  })

  it('refuse a server newer than each of them, in words', () => {
    const error = caught(() => chooseForDump([tools('15.9')], 18))
    expect(error).to.have.property('exitCode', 3)
    expect((error as Error).message).to.contain('PostgreSQL 18').and.to.contain('15.9')
  })

  it('restore with the target\'s major when that reads the archive', () => {
    const found = [tools('18.1'), tools('17.5'), tools('15.9')]
    expect(chooseForRestore(found, 12, 15).major).to.equal(15)
    expect(chooseForRestore(found, 17, 15).major).to.equal(17)
    expect(chooseForRestore(found, 12, 16).major).to.equal(17)
    expect(caught(() => chooseForRestore([tools('15.9')], 17, 15))).to.have.property('exitCode', 3)
  })

  it('are found, versioned and asked for zstd', async () => {
    const [found] = await findTools(await clientTools(18))
    expect(found).to.include({major: 18})
    expect(await knowsZstd(found ?? tools('0'))).to.equal(true)
    const error: unknown = await findTools('/nonexistent').catch((thrown: unknown) => thrown)
    expect(error).to.have.property('code', 'tools.missing')
  })
})

describe('the arguments of pg_dump', () => {
  const options = {directory: 'd', snapshot: 's', jobs: 2, compression: 'zstd:1', excludeSchemas: ['dr_stage_*'], lockTimeoutMs: 2000}
  it('speak to each major in its own words', () => {
    const access = {url: () => 'postgresql://u@h:5432/d'}
    expect(dumpArguments(tools('17.5'), access, options)).to.include('--compress=zstd:1')
    expect(dumpArguments(tools('15.9'), access, {...options, compression: 'gzip:1'})).to.include('--compress=1')
    expect(dumpArguments(tools('15.9'), access, {...options, compression: 'none'})).to.include('--compress=0')
  })

  it('never ask for one job', () => {
    expect([dumpJobs(1, 8), dumpJobs(undefined, 1), dumpJobs(undefined, 6), dumpJobs(3, 1)]).to.deep.equal([2, 2, 6, 3])
  })

  it('choose a compression that the client can write', () => {
    expect(chooseCompression(undefined, tools('17.5'), true)).to.equal('zstd:1')
    expect(chooseCompression(undefined, tools('15.9'), false)).to.equal('gzip:1')
    expect(chooseCompression('none', tools('15.9'), false)).to.equal('none')
    expect(chooseCompression('zstd:3', tools('17.5'), true)).to.equal('zstd:3')
    expect(caught(() => chooseCompression('zstd', tools('15.9'), false))).to.have.property('exitCode', 3)
    expect(caught(() => chooseCompression('brotli', tools('17.5'), true))).to.have.property('exitCode', 3)
  })
})
