import {expect} from 'chai'
import {InterruptedError} from '../../../../src/lib/errors.ts'
import {parseTarget} from '../../../../src/lib/postgres/target.ts'
import type {RecoveryState} from '../../../../src/lib/procedures/pitr/recover-options.ts'
import {targetAt} from '../../../../src/lib/procedures/pitr/target.ts'
import {replay} from '../../../../src/lib/runbook/replay.ts'
import {localRepository, removeFolder, runBackup, temporaryFolder} from '../../../support/backup.ts'
import {RecoveryFixture, type Recovered} from '../../../support/recovery.ts'

describe('the proof of a recovered instance', function () {
  this.timeout(120_000)
  const rds = new RecoveryFixture()
  let folder: string
  let at: Date

  before(async () => {
    folder = await temporaryFolder('pitr-prove')
    await rds.open()
    await rds.sql((client) => client.query(`
      CREATE ROLE crm_app LOGIN;
      CREATE TABLE leads (id serial PRIMARY KEY, "tenantId" text, "createdAt" timestamptz DEFAULT now());
      CREATE TABLE calls (id int);
      ALTER TABLE leads ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON leads USING ("tenantId" = current_user); GRANT SELECT ON leads TO crm_app;
      INSERT INTO leads ("tenantId", "createdAt") SELECT 't' || i % 3, now() - interval '10 minutes' FROM generate_series(1, 90) i`))
    const {error} = await runBackup({url: rds.aws.url(rds.source), directory: folder, toolsMajor: 17, environment: 'staging'})
    if (error) throw error
    at = new Date()
    await rds.archived(at)
    await rds.sql((client) => client.query('DELETE FROM leads WHERE id % 2 = 0; DROP TABLE calls; CREATE ROLE late; GRANT INSERT ON leads TO late'))
  })
  after(async () => {
    await rds.close()
    await removeFolder(folder)
  })
  afterEach(async () => {
    for (const name of [...rds.aws.server.region.instances.keys()]) if (name !== 'crm') await rds.remove(name)
  })

  const findings = ({state}: Recovered, severity: string) => state.findings.filter((one) => one.severity === severity).map(({code, subject, message}) => `${code} ${subject}: ${message}`)
  const recover = (setting: Parameters<typeof rds.recover>[0] = {}) => rds.recover({...setting, wish: {to: at.toISOString(), target: 'copy'}})
  const mark = (key = 'dr:proven') => rds.instance('copy').settings.TagList.find(({Key}) => Key === key)?.Value
  const elsewhere = (storages: ReturnType<typeof localRepository>[]) => ({proof: {database: {...parseTarget(rds.aws.url(rds.source)), port: 1}, storages, jobs: 1}})

  it('tells what the source has lost since, and finds nothing wrong in that', async () => {
    const done = await recover()
    if (done.error) throw done.error
    expect(done.state.reference).to.include({kind: 'live'})
    expect(findings(done, 'error')).to.deep.equal([])
    expect(findings(done, 'info')).to.include('pitr.rows public.calls: the table is not in the source').and.include('pitr.rows public.leads: 90 rows; the source has 45')
    expect(findings(done, 'warning')).to.include('integrity.grants table public.leads: late lacks INSERT')
    expect(findings(done, 'ok').join('\n')).to.contain('90 rows of 3 tenants in 2 tables can be read').and.contain('row-level security on 1 table')
    expect(done.state.marks.verified).to.be.a('string')
    expect(mark()).to.equal(`${done.state.marks.verified ?? ''}/proven`)
    expect(mark('dr:fork-xid'), 'where it parted from its source').to.match(/^\d+$/)
    expect(mark('dr:source-id')).to.equal(rds.source.resourceId)
    expect(rds.source.settings.TagList).to.deep.equal([])
  })

  it('finds what cannot have been so at the instant, and the copy stays', async () => {
    const controller = new AbortController()
    const cut = await recover({run: 'cut', signal: controller.signal, onStep: (id) => { if (id === 'pitr.prove') controller.abort(new InterruptedError()) }})
    await rds.sql((client) => client.query(`ALTER TABLE leads DISABLE ROW LEVEL SECURITY; UPDATE leads SET "createdAt" = now() + interval '1 hour' WHERE id = 1`), rds.instance('copy'))
    const done = await recover({run: 'cut', earlier: replay<RecoveryState>(cut.entries)})
    if (done.error) throw done.error
    expect(findings(done, 'error').join('\n')).to.match(/pitr\.newest public\.leads: holds a row of 2\S+, which is after the instant/).and.contain('integrity.row-security public.leads: row-level security is off; in the source it is on')
    expect(rds.aws.server.region.instances.has('copy')).to.equal(true)
    expect(mark()).to.equal(`${done.state.marks.verified ?? ''}/failed`)
    expect(mark('dr:fork-xid'), 'somebody has written to it: its rows do not say it any more').to.equal(undefined)
  })

  it('finds what is read-only in the copy because writes were stopped at its instant, not what is meant to be', async () => {
    const frozen = ['postgres', 'second']
    const on = (names: string[]) => rds.sql(async (client) => { for (const name of names) await client.query(`ALTER DATABASE ${name} SET default_transaction_read_only = on`) })
    for (const sql of ['CREATE DATABASE second', 'CREATE DATABASE archive']) await rds.sql((client) => client.query(sql))
    await on(['archive', ...frozen])
    rds.source.settings = {...rds.source.settings, TagList: [{Key: 'dr:frozen', Value: `${frozen.join(' ')} @run-0`}]}
    try {
      const done = await rds.recover({wish: {to: (await rds.archived()).toISOString(), target: 'copy'}})
      if (done.error) throw done.error
      expect(done.state.findings.filter(({code}) => code === 'pitr.copy-frozen').map(({severity, subject, hint}) => `${severity} ${subject} ${hint ?? ''}`)).to.deep.equal(frozen.map((name) => `error ${name} On copy: BEGIN READ WRITE; ALTER DATABASE "${name}" RESET default_transaction_read_only; COMMIT; Then: dr pitr resume copy`))
      expect(mark()).to.match(/\/failed$/)
    } finally {
      rds.source.settings = {...rds.source.settings, TagList: []}
      await rds.sql(async (client) => {
        for (const sql of ['SET default_transaction_read_only = off', 'ALTER DATABASE postgres RESET default_transaction_read_only', 'DROP DATABASE second', 'DROP DATABASE archive']) await client.query(sql)
      })
    }
  })

  it('takes the nearest backup where the source cannot be reached, and says when there is none either', async () => {
    const done = await recover({options: elsewhere([localRepository(folder)])})
    if (done.error) throw done.error
    expect(done.state.reference?.kind).to.equal('backup')
    expect(done.state.reference?.why).to.match(/^the source cannot be read: PostgreSQL at 127.0.0.1:1 does not accept/)
    expect(findings(done, 'error')).to.deep.equal([])
    expect(findings(done, 'ok').join('\n')).to.contain('as many rows as the backup in each of 2 tables')
    expect(done.notices.join('\n')).to.contain(`Compared with the backup ${done.state.reference?.name ?? '?'}`)

    await rds.remove('copy')
    rds.aws.server.faults.add({match: {action: 'AddTagsToResource'}, times: 10, action: {code: 'AccessDenied', status: 403, message: 'User: arn:aws:iam::123456789012:user/x is not authorized to perform: rds:AddTagsToResource'}})
    const bare = await recover({options: elsewhere([])})
    rds.aws.server.faults.clear()
    if (bare.error) throw bare.error
    expect(mark()).to.equal(undefined)
    expect(bare.notices.join('\n'), 'a proof stands without its mark').to.contain('The copy could not be marked as proven')
    expect(bare.state.reference).to.deep.include({kind: 'none'})
    expect(bare.notices.join('\n')).to.contain('only the copy itself was looked at')
  })

  it('says that nothing was looked at when no database is configured', async () => {
    const done = await recover({options: {config: {...rds.config, objectives: {...rds.config.objectives, rtoSeconds: 0.1}}, proof: {storages: [], jobs: 1}}})
    expect(done.notices.filter((text) => text.includes('RTO')), 'told once').to.deep.equal(['The RTO of 0.1 s is passed; AWS goes on, and so does the waiting.'])
    expect(findings(done, 'warning')).to.deep.equal(['pitr.unproven : no database is configured, so nothing in the copy was looked at'])
    expect(done.state.marks).not.to.have.property('verified')
  })

  it('leaves the run where it was when the copy does not let it in', async () => {
    const database = {...parseTarget(rds.aws.url(rds.source)), database: 'nobody'}
    const {error, entries} = await recover({options: {proof: {database, storages: [], jobs: 1}}})
    expect(error).to.include({code: 'postgres.no-database', exitCode: 5})
    expect(error?.hints?.join('\n')).to.contain('the copy copy').and.contain('dr pitr resume copy')
    expect(entries.at(-1)?.event).to.equal('left')
  })

  it('holds a host of RDS to its certificate where the authorities are known; any other as the URL says', () => {
    const live = parseTarget('postgres://u:p@crm.abc.eu-west-1.rds.amazonaws.com:5432/crm?sslmode=require')
    const host = {host: 'copy.abc.eu-west-1.rds.amazonaws.com', port: 5433}
    expect(targetAt(live, host, {config: {rds: {caBundle: '/etc/rds.pem'}}})).to.deep.include({...host, user: 'u', password: 'p', database: 'crm', ssl: {mode: 'verify-full', rootCert: '/etc/rds.pem'}})
    expect(targetAt(live, host, {config: {rds: {}}}).ssl).to.deep.equal({mode: 'require'})
    expect(targetAt(live, {host: '127.0.0.1', port: 1}, {config: {rds: {caBundle: '/etc/rds.pem'}}}).ssl).to.deep.equal({mode: 'require'})
  })
})
