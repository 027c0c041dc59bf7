import {expect} from 'chai'
import {readFile, writeFile} from 'node:fs/promises'
import {sha256Of} from '../../../../src/lib/repository/checksum.ts'
import type {Manifest} from '../../../../src/lib/repository/manifest.ts'
import {backupFixture} from './backup-fixture.ts'
import {errorsOf} from './verifying.ts'

describe('what dr verify compares with the manifest', () => {
  const made = backupFixture('verify_content')

  it('counts the rows of each table against the manifest', async () => {
    await made.take('none')
    const name = await made.dataOf('Odd "Name')
    const whole = await readFile(made.path(name))
    const shorter = whole.subarray(whole.indexOf('\n') + 1)
    await writeFile(made.path(name), shorter)
    await made.pretend(({members: list}) => {
      for (const member of list) if (member.name === name) Object.assign(member, {bytes: shorter.length, sha256: sha256Of(shorter)})
    })
    const state = await made.check()
    expect(errorsOf(state)).to.deep.equal([`${name} verify.rows`])
    expect(state.verified[0]?.findings.find(({code}) => code === 'verify.rows')?.message).to.equal('holds 499 rows of public.Odd "Name, the manifest says 500')
  })

  it('compares the table of contents with the manifest, both ways', async () => {
    const changes: [string, (manifest: Manifest) => void, string[]][] = [
      ['a table too many', ({tables: list}) => { list.push({schema: 'public', name: 'ghost', kind: 'table', rows: 0, columns: [], bytes: 0}) }, ['public.ghost verify.table']],
      ['a table without its data', ({tables: list}) => { for (const table of list) if (table.name === 'empty') Object.assign(table, {dumpId: undefined, rows: 7}) }, ['public.empty verify.table-data', 'public.empty verify.table-data']],
      ['a table too few', (manifest) => { manifest.tables = manifest.tables.filter(({name}) => name !== 'parted') }, ['public.parted verify.table']],
      ['another sequence value', ({sequences: [sequence]}) => { if (sequence) sequence.lastValue = '1' }, ['public.leads_id_seq verify.sequence']],
      ['a sequence too few', (manifest) => { manifest.sequences = [] }, ['public.leads_id_seq verify.sequence']],
      ['another view', (manifest) => { manifest.materializedViews = [{schema: 'public', name: 'other', populated: true}] }, ['public.other verify.table']],
      ['more large objects', (manifest) => { manifest.largeObjects = 3 }, ['verify.large-object']],
      ['a member twice', (manifest) => { manifest.members.push({...(manifest.members[0] ?? {name: '', bytes: 0, sha256: ''})}) }, ['manifest.json verify.manifest']],
      ['another label', (manifest) => { manifest.label = '20200101T000000Z-0000' }, ['manifest.json verify.manifest']],
      ['another environment', (manifest) => { manifest.environment = 'production' }, ['manifest.json verify.manifest']],
    ]
    for (const [name, change, errors] of changes) {
      await made.take('none')
      await made.pretend(change)
      expect(errorsOf(await made.check()), name).to.deep.equal(errors)
    }
  })

  it('says that a manifest cannot be read, and that nothing else could be compared', async () => {
    for (const text of ['', '{', '{"schemaVersion": 99}', '[]', 'null']) {
      await made.take('none')
      await writeFile(made.path('manifest.json'), text)
      const {verified: [result]} = await made.check()
      expect(result?.ok).to.equal(false)
      expect(result?.findings.filter(({severity}) => severity === 'error').every(({subject}) => subject === 'manifest.json')).to.equal(true)
      expect(result?.findings.some(({message}) => message.startsWith('Without its manifest'))).to.equal(true)
    }
  })

  it('passes without pg_restore, and says what was not done', async () => {
    await made.take('zstd:1')
    const {verified: [result]} = await made.check('full', undefined)
    expect(result).to.include({ok: true})
    expect(result?.findings.find(({severity}) => severity === 'warning')).to.include({code: 'verify.pg-restore', subject: 'toc.dat'})
  })
})
