import {expect} from 'chai'
import {connect, endQuietly, rowOf, withClient} from '../../../../src/lib/postgres/connection.ts'
import {quoteIdent} from '../../../../src/lib/postgres/quote.ts'
import {cutoverProcedure, cutoverState} from '../../../../src/lib/procedures/pitr/cutover.ts'
import {frozenOf, frozenRunOf, frozenTag, keptOf} from '../../../../src/lib/procedures/pitr/cutover-marks.ts'
import type {CutoverOptions} from '../../../../src/lib/procedures/pitr/cutover-options.ts'
import {undoEarlier} from '../../../../src/lib/runbook/perform.ts'
import {replay} from '../../../../src/lib/runbook/replay.ts'
import type {Instance} from '../../../../src/lib/sandbox/rds/instance.ts'
import type {RdsFaultAction} from '../../../../src/lib/sandbox/rds/faults.ts'
import {COPY, CutoverFixture, dyingBehind, NAME} from '../../../support/cutover.ts'
import {testStage} from '../../../support/stage.ts'
import {until} from '../../../support/until.ts'

describe('a cut-over that is refused, fails or is taken back', function () {
  this.timeout(300_000)
  const crm = new CutoverFixture()
  let digest = ''

  before(async () => {
    await crm.open({millisecondsPerSecond: 0.1, watched: true})
    digest = await crm.digest(crm.old)
  })
  after(() => crm.close())
  afterEach(async () => {
    expect(crm.harm()).to.deep.equal([])
    await crm.reset()
  })

  const set = (instance: Instance, settings: Partial<Instance['settings']>) => { instance.settings = {...instance.settings, ...settings} }
  const withoutTag = (key: string) => crm.copy.settings.TagList.filter(({Key}) => Key !== key)

  async function assertUntouched(): Promise<void> {
    for (const one of [crm.old, crm.copy]) await until(() => one.timeline.isQuiet, 60_000)
    expect(crm.names()).to.deep.equal({[NAME]: 'old', [COPY]: 'copy'})
    expect(await crm.frozen(crm.old)).to.deep.equal([])
    expect(Object.keys(crm.tags(crm.old))).to.deep.equal(['team'])
    expect(crm.tags(crm.copy)).not.to.have.any.keys('dr:replaces', 'dr:cutover')
    expect(await crm.digest(crm.old)).to.equal(digest)
  }

  const REFUSALS: [what: string, code: string, exitCode: number, prepare: () => void, options?: Partial<CutoverOptions>][] = [
    ['there is no such copy', 'pitr.no-copy', 3, () => {}, {copy: 'nobody'}],
    ['there is no production instance', 'rds.no-instance', 3, () => {}, {name: 'elsewhere', copy: COPY}],
    ['the copy is the production instance', 'pitr.same', 2, () => {}, {copy: NAME}],
    ['dr did not make the copy', 'pitr.not-ours', 3, () => { set(crm.copy, {TagList: withoutTag('dr:run-id')}) }, {copy: COPY}],
    ['no copy is ours', 'pitr.no-copy', 3, () => { set(crm.copy, {TagList: withoutTag('dr:run-id')}) }],
    ['it is there to be looked at', 'pitr.purpose', 3, () => { set(crm.copy, {TagList: [...withoutTag('dr:purpose'), {Key: 'dr:purpose', Value: 'side'}]}) }, {copy: COPY}],
    ['the copy is stopped', 'rds.state', 3, () => { crm.copy.timeline.set('stopped') }],
    ['the old one is full', 'rds.state', 3, () => { crm.old.timeline.set('storage-full') }],
    ['it belongs to a cluster', 'pitr.aurora', 3, () => { set(crm.old, {Engine: 'aurora-postgresql'}) }],
    ['its security groups are others', 'pitr.settings', 3, () => { set(crm.copy, {VpcSecurityGroupIds: ['sg-default']}) }],
    ['its backups are kept for a shorter time', 'pitr.settings', 3, () => { set(crm.copy, {BackupRetentionPeriod: 1}) }],
    ['it is reachable from the internet', 'pitr.settings', 3, () => { set(crm.copy, {PubliclyAccessible: true}) }],
    ['no proxy is configured', 'config.rds-proxy', 3, () => {}, {mode: 'proxy'}],
  ]
  for (const [what, code, exitCode, prepare, options] of REFUSALS) {
    it(`is refused before anything when ${what}`, async () => {
      prepare()
      const asked = crm.aws.server.requests.length
      const {error} = await crm.cutover(options)
      expect(error).to.include({code, exitCode})
      expect(error?.hints?.join(' '), 'what to do').not.to.equal('')
      expect(crm.aws.server.requests.slice(asked).map(({action}) => action).filter((action) => !action.startsWith('Describe'))).to.deep.equal([])
      expect(await crm.frozen(crm.old)).to.deep.equal([])
    })
  }

  it('is refused while changes wait, unless they may be made', async () => {
    const pending = new Proxy(crm.api, {get(target, property) {
      const method = Reflect.get(target, property) as unknown
      if (property === 'instances') return async (signal: AbortSignal) => (await target.instances(signal)).map((one) => ({...one, PendingModifiedValues: {DBInstanceClass: 'db.m7g.large'}}))
      return typeof method === 'function' ? (method as () => unknown).bind(target) : method
    }})
    const {error} = await crm.cutover({api: pending})
    expect(error).to.include({code: 'pitr.pending', exitCode: 3})
    expect(error?.message).to.contain('DBInstanceClass')
    await assertUntouched()
  })

  it('takes lesser settings with --accept, and shows them with both instances, the loss and the time before it asks', async () => {
    set(crm.copy, {BackupRetentionPeriod: 1, MultiAZ: false})
    set(crm.old, {MultiAZ: true})
    let shown = ''
    const options = crm.options({accept: true})
    const procedure = cutoverProcedure(options)
    const {error} = await crm.run(procedure, cutoverState(options, new Date()), {gatekeeper: {check() {}, pass(gate, state) {
      shown = [gate.question(state), gate.mustType(state), ...gate.details?.(state) ?? []].join('\n')
      throw new Error('not answered')
    }}})
    expect(error?.message).to.equal('not answered')
    expect(shown).to.match(/Have crm-prod-pitr take the place of crm-prod \(production\)\?\ncrm-prod\n/)
      .and.contain(crm.old.resourceId).and.contain(crm.copy.resourceId).and.match(/47 rows that were inserted or changed since/).and.match(/public\.calls +307 +300 +−7 +47/)
      .and.match(/about 26 min, of these 20 min out of reach \(snapshot 5 min, assumed; two renames of 10 min each, by the RDS User Guide\); the RTO is 60 min/)
      .and.match(/ERROR +crm-prod-pitr: days of automated backups: 1, where the old one has 7/).and.match(/WARNING +crm-prod-pitr: Multi-AZ: off/)
    await assertUntouched()
  })

  const FAULTS: [action: string, skipped: number][] = [['AddTagsToResource', 0], ['AddTagsToResource', 1], ['CreateDBSnapshot', 0], ['ModifyDBInstance', 0], ['ModifyDBInstance', 1]]
  const answers: [string, RdsFaultAction][] = [['denied', {code: 'AccessDenied', status: 403, message: 'User: arn:aws:iam::123456789012:user/ops is not authorized to perform: rds:X'}], ['refused', {code: 'KMSKeyNotAccessibleFault', message: 'no'}]]
  for (const [action, skipped] of FAULTS) for (const [what, fault] of answers) {
    it(`takes everything back when ${action} (${skipped + 1}) is ${what}`, async () => {
      crm.aws.server.faults.add({match: {action}, times: 1, action: fault})
      let left = skipped
      const api = new Proxy(crm.api, {get(target, property) {
        const method = Reflect.get(target, property) as unknown
        if (typeof method !== 'function') return method
        return (...args: unknown[]) => {
          const mine = {AddTagsToResource: 'addTags', CreateDBSnapshot: 'snapshot', ModifyDBInstance: 'modify'}[action] === property
          const waits = mine && left-- > 0 ? crm.aws.server.faults.rules : []
          if (waits.length > 0) crm.aws.server.faults.clear()
          const result = (method as (...given: unknown[]) => unknown).apply(target, args)
          if (waits.length === 0) return result
          return (result as Promise<unknown>).finally(() => { crm.aws.server.faults.add(...waits) })
        }
      }})
      const {error} = await crm.cutover({api})
      expect(error?.exitCode, error?.message).to.be.oneOf([3, 5])
      await assertUntouched()
    })
  }

  for (const fault of [{code: 'ExpiredToken', status: 403}, {code: 'InternalFailure', status: 500}]) {
    it(`stays where it is when it is not known what became of a rename (${fault.code}), and is gone on with`, async () => {
      crm.aws.server.faults.add({match: {action: 'ModifyDBInstance'}, times: 1_000, action: fault})
      const ran = await crm.cutover()
      expect(ran.error).to.include({exitCode: 5})
      expect(ran.error?.hints?.join(' ')).to.contain('dr resume run-1').and.contain('dr pitr rollback run-1')
      expect(crm.names()).to.deep.equal({[NAME]: 'old', [COPY]: 'copy'})
      expect(await crm.frozen(crm.old), 'nobody writes meanwhile').to.deep.equal(['crm'])
      crm.aws.server.faults.clear()
      const {error} = await crm.resumed(ran.entries)
      if (error) throw error
      expect(crm.names()).to.have.property(NAME, 'copy')
    })
  }

  it('takes a lost reply and throttling for what they are', async () => {
    crm.aws.server.faults.add(...['CreateDBSnapshot', 'ModifyDBInstance', 'AddTagsToResource'].map((action) => ({match: {action}, times: 1, action: {cutAfter: true as const}})), {match: {action: 'DescribeDBInstances'}, times: 1, action: {code: 'Throttling'}})
    const {error, state} = await crm.cutover()
    if (error) throw error
    expect(crm.names()).to.deep.equal({[NAME]: 'copy', [state.oldName]: 'old'})
    expect(crm.aws.server.region.snapshots.size).to.equal(1)
  })

  it('renames the old one back when the copy comes out of its rename broken, and says what is not undone', async () => {
    const answer = {match: {action: 'ModifyDBInstance', instance: COPY}, times: 1, action: {endsAs: 'incompatible-network'}}
    crm.aws.server.faults.add(answer)
    const {error} = await crm.cutover()
    expect(error?.message).to.contain('incompatible-network').and.contain('Not undone: Give its name to the copy')
    expect(Object.values(crm.names()), 'the name is the broken one’s: nothing can take it away').to.deep.equal(['old', 'copy'])
    crm.copy.timeline.set('available')
    const back = await crm.rollback()
    if (back.error) throw back.error
    expect(crm.names()).to.have.property(NAME, 'old')
    expect(await crm.digest(crm.old)).to.equal(digest)
  })

  it('is undone by dr resume --undo', async () => {
    const {stage, entries, reached} = dyingBehind('cutover.rename-new')
    void crm.cutover({}, stage)
    await reached
    const {state, ...earlier} = replay<ReturnType<typeof cutoverState>>(entries)
    await undoEarlier(cutoverProcedure(crm.options()), state, testStage().stage, earlier)
    await assertUntouched()
  })

  it('stops writers, not readers, and only while it lasts', async () => {
    const app = crm.url.replace('master:m%40ster', 'app:app')
    const writer = await connect(app)
    const {stage, reached} = dyingBehind('cutover.freeze')
    void crm.cutover({}, stage)
    await reached
    expect(await writer.query('SELECT 1').then(() => 'lives', () => 'ended')).to.equal('ended')
    await endQuietly(writer)
    await withClient(app, {}, async (client) => {
      expect(await client.query("INSERT INTO deals (title) VALUES ('lost')").catch((error: unknown) => (error as {code: string}).code)).to.equal('25006')
      expect(await rowOf(client, 'SELECT count(*)::int AS deals FROM deals')).to.deep.equal({deals: 45})
    })
    await withClient(crm.url, {}, async (client) => {
      for (const sql of ['SET default_transaction_read_only = off', 'CREATE TABLE operators_own ()', 'DROP TABLE operators_own']) await client.query(sql)
    })
    const {error} = await crm.rollback()
    if (error) throw error
    await withClient(app, {}, (client) => client.query("BEGIN; INSERT INTO deals (title) VALUES ('not kept'); ROLLBACK"))
    await assertUntouched()
  })

  it('leaves databases alone that were read-only before, where names are not for a tag, and where they do not fit one', async () => {
    const long = Array.from({length: 4}, (_, index) => `${index}${'x'.repeat(60)}`)
    const names = ['crm main', ...long, 'archive']
    await withClient(crm.url, {}, async (client) => {
      for (const name of names) await client.query(`CREATE DATABASE ${quoteIdent(name)}`)
      await client.query('ALTER DATABASE archive SET default_transaction_read_only = on')
    })
    try {
      const {stage, entries, reached} = dyingBehind('cutover.freeze')
      void crm.cutover({}, stage)
      await reached
      expect(crm.tags(crm.old)['dr:frozen']).to.equal('all -archive @run-1')
      const resumed = await crm.resumed(entries)
      if (resumed.error) throw resumed.error
      expect(await crm.frozen(crm.old)).to.deep.equal(['archive'])
      const back = await crm.rollback()
      if (back.error) throw back.error
      const other = dyingBehind('cutover.freeze')
      void crm.cutover({copy: back.state.backName}, other.stage)
      await other.reached
      expect(await crm.frozen(crm.old)).to.deep.equal([...long, 'archive', 'crm', 'crm main'])
      const again = await crm.rollback()
      if (again.error) throw again.error
      expect(await crm.frozen(crm.old)).to.deep.equal(['archive'])
    } finally {
      for (const name of names) await withClient(crm.url, {}, (client) => client.query(`DROP DATABASE ${quoteIdent(name)} WITH (FORCE)`))
    }
  })

  it('notes any name of a database', () => {
    const frozen = ['crm main', 'all', '-archive', 'a@b:c=20', 'Ünïcode', '日本'].map((name, index) => ({name, former: index === 1 ? 'off' : null}))
    const tag = frozenTag({databases: frozen, kept: []}, 'run-1')
    expect(tag.Value).to.match(/^[\w.:=+@ -]+$/)
    expect(frozenOf({TagList: [tag]})).to.deep.equal(frozen)
    const kept = ['-odd', 'crm main', 'all']
    const all = frozenTag({databases: Array.from({length: 9}, (_, index) => ({name: `${index}`.repeat(60), former: null})), kept}, 'run-1')
    expect([frozenOf({TagList: [all]}), keptOf({TagList: [all]}), frozenRunOf({TagList: [all]})]).to.deep.equal(['all', kept, 'run-1'])
    const many = Array.from({length: 9}, (_, index) => `${index}`.repeat(60))
    expect(() => frozenTag({databases: many.map((name) => ({name, former: null})), kept: many}, 'run-1')).to.throw('does not fit a tag')
  })

  it('leaves databases alone that were read-only before, and puts back what was set', async () => {
    await withClient(crm.url, {}, async (client) => {
      for (const [name, value] of [['archive', 'on'], ['plain', 'off']] as const) {
        await client.query(`CREATE DATABASE ${name}`)
        await client.query(`ALTER DATABASE ${name} SET default_transaction_read_only = ${value}`)
      }
    })
    try {
      const {stage, reached} = dyingBehind('cutover.freeze')
      void crm.cutover({}, stage)
      await reached
      expect(await crm.frozen(crm.old)).to.deep.equal(['archive', 'crm', 'plain'])
      expect(crm.tags(crm.old)['dr:frozen']).to.equal('crm plain:off @run-1')
      const {error} = await crm.rollback()
      if (error) throw error
      expect(await crm.frozen(crm.old)).to.deep.equal(['archive'])
      expect(await withClient(crm.url, {}, (client) => rowOf<{set: string[]}>(client, "SELECT setconfig AS set FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase WHERE datname = 'plain'"))).to.deep.equal({set: ['default_transaction_read_only=off']})
    } finally {
      for (const name of ['archive', 'plain']) await withClient(crm.url, {}, (client) => client.query(`DROP DATABASE ${name} WITH (FORCE)`))
    }
  })
})
