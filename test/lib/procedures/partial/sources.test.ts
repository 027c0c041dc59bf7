import {expect} from 'chai'
import {execFile} from 'node:child_process'
import {readFile, writeFile} from 'node:fs/promises'
import {join} from 'node:path'
import {promisify} from 'node:util'
import {gzipSync} from 'node:zlib'
import {parseTarget} from '../../../../src/lib/postgres/target.ts'
import {otherDatabase} from '../../../../src/lib/procedures/partial/run-options.ts'
import type {Gatekeeper} from '../../../../src/lib/runbook/stage.ts'
import {runPartial, type PartialSetting} from '../../../support/partial-restore.ts'
import {openGates} from '../../../support/stage.ts'
import {clientTools} from '../../../support/tools.ts'
import {contentsOf, differences, sampleFixture, type Contents} from './sample.ts'

const run = promisify(execFile)

describe('a partial restore takes', function () {
  this.timeout(300_000)
  const sample = sampleFixture('dr_sources', {rows: 900, tenants: 4})
  let before: Contents

  beforeEach(async () => {
    await sample.anew()
    before = await sample.live(contentsOf)
    await sample.live((client) => client.query(`SET search_path = public;
      DELETE FROM leads WHERE hashtextextended(id, 1) % 2 = 0; UPDATE contacts SET name = 'x' WHERE hashtextextended(id, 1) % 3 = 0; DROP TABLE notifications CASCADE`))
  })

  async function dumped(format: string, name: string, zip = false): Promise<string> {
    const path = join(sample.directory, name)
    await run(join(await clientTools(17), 'pg_dump'), [format, `--file=${path}`, `--dbname=${sample.cluster.url('dr_sources_pristine')}`])
    if (zip) await writeFile(path, gzipSync(await readFile(path)))
    return path
  }

  it('no database that does not answer, and says which of the two it is', async () => {
    const {error} = await runPartial({url: sample.url, directory: sample.directory, wish: {tables: ['leads']}, way: 'missing', from: {kind: 'database', target: parseTarget('postgres://u:p@127.0.0.1:1/copy')}})
    expect(error).to.include({code: 'postgres.unreachable', exitCode: 5})
    expect(error?.hints).to.deep.equal(['Check host and port of --from, and that the server runs.'])
  })

  const SOURCES: readonly [string, () => Promise<Partial<PartialSetting>>, string?][] = [
    ['a backup of dr', () => Promise.resolve({})],
    ['a dump of the old scripts, a custom archive that is gzipped and called .sql', async () => ({backup: await dumped('-Fc', 'crm-2026-11-01T02-00-00-000Z.sql', true)}), 'dr_sources_pristine'],
    ['plain SQL', async () => ({backup: await dumped('-Fp', 'plain.sql')}), 'a database that it does not name'],
    ['a database that answers', () => Promise.resolve({from: {kind: 'database', target: parseTarget(sample.cluster.url('dr_sources_pristine'))}}), 'dr_sources_pristine'],
  ]
  for (const [what, setting, other] of SOURCES) {
    it(`${what}: lost rows, changed rows and a dropped table come back, and nothing else changes; --yes is enough only for one of the live database`, async () => {
      const asked: unknown[] = []
      const gatekeeper: Gatekeeper = {...openGates, pass: (gate, gated) => {
        asked.push(typeof gate.strict === 'function' && gate.strict(gated))
        return Promise.resolve('yes')
      }}
      const {error, state} = await runPartial({gatekeeper, url: sample.url, directory: sample.directory, wish: {tables: ['leads', 'contacts', 'notifications'], relink: true}, way: 'changed', ...await setting()})
      if (error) throw error
      expect([asked, otherDatabase(state)]).to.deep.equal([[other !== undefined], other])
      // Rows that hang on leads, and on these, went with them, and were not asked for.
      const left = differences(before, await sample.live(contentsOf))
      expect(Object.keys(left).toSorted()).to.deep.equal(['attachments', 'comments', 'lead_tags', 'tasks'])
      expect(state.comparison?.closure.filter(({kind}) => kind === 'gone-child').map(({table}) => table.name).toSorted()).to.deep.equal(['comments', 'lead_tags', 'tasks'])
      expect(state.lost).to.deep.equal([{schema: 'public', name: 'notifications'}])
      expect(state.findings.filter(({severity}) => severity !== 'ok')).to.deep.equal([])
    })
  }
})
