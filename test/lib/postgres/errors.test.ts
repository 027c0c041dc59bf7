import {expect} from 'chai'
import {DrError} from '../../../src/lib/errors.ts'
import {connect, endQuietly, type Client} from '../../../src/lib/postgres/connection.ts'
import {statementError} from '../../../src/lib/postgres/errors.ts'
import {testCluster} from '../../support/cluster.ts'

const EXPECTED: Record<string, {code: string; exitCode: number; hint: RegExp}> = {
  '53200': {code: 'postgres.out-of-memory', exitCode: 3, hint: /max_locks_per_transaction/},
  '57014': {code: 'postgres.cancelled', exitCode: 5, hint: /statement_timeout/},
  '40001': {code: 'postgres.conflict', exitCode: 6, hint: /standby/},
  '53100': {code: 'postgres.disk-full', exitCode: 3, hint: /disk/},
  'XX001': {code: 'postgres.corruption', exitCode: 4, hint: /older backups/},
  '42501': {code: 'postgres.permission', exitCode: 3, hint: /owns/},
  '42P01': {code: 'postgres.statement', exitCode: 1, hint: /Run the command again/},
  '22012': {code: 'postgres.statement', exitCode: 1, hint: /log/},
}

describe('an error of a statement', () => {
  let client: Client
  before(async () => { client = await connect((await testCluster()).adminUrl) })
  after(() => endQuietly(client))

  for (const [sqlstate, {code, exitCode, hint}] of Object.entries(EXPECTED)) {
    it(`${sqlstate} says what to do`, async () => {
      const thrown: unknown = await client.query(`DO $$ BEGIN RAISE EXCEPTION 'it failed' USING ERRCODE = '${sqlstate}'; END $$`).catch((error: unknown) => error)
      const error = statementError(thrown, 'Counting')
      expect(error).to.be.instanceOf(DrError).and.to.include({code, exitCode})
      expect((error as DrError).message).to.contain('Counting: it failed')
      expect((error as DrError).hints.join(' ')).to.match(hint)
    })
  }

  it('is a lost connection when the server ended it', async () => {
    const victim = await connect((await testCluster()).adminUrl)
    const thrown: unknown = await victim.query('SELECT pg_terminate_backend(pg_backend_pid())').catch((error: unknown) => error)
    expect(statementError(thrown, 'Counting')).to.include({code: 'postgres.connection-lost', exitCode: 5})
    await endQuietly(victim)
  })

  it('stays as it is when it is not of the server', () => {
    const bug = new TypeError('x is not a function')
    expect(statementError(bug, 'Counting')).to.equal(bug)
  })
})
