import {expect} from 'chai'
import {execFile} from 'node:child_process'
import {promisify} from 'node:util'
import {connect, endQuietly, rowOf, withClient} from '../../../../src/lib/postgres/connection.ts'
import {freeze, unfreezeSql} from '../../../../src/lib/postgres/freeze.ts'
import {parseTarget} from '../../../../src/lib/postgres/target.ts'
import {cutoverProcedure, cutoverState} from '../../../../src/lib/procedures/pitr/cutover.ts'
import type {CutoverOptions} from '../../../../src/lib/procedures/pitr/cutover-options.ts'
import type {Instance} from '../../../../src/lib/sandbox/rds/instance.ts'
import {COPY, CutoverFixture, NAME} from '../../../support/cutover.ts'
import {testStage} from '../../../support/stage.ts'
import {clientTools} from '../../../support/tools.ts'

const DATABASES = ['crm2', 'crm main', 'archive']

describe('what is read-only', function () {
  this.timeout(180_000)
  const crm = new CutoverFixture()
  const admin = (instance: Instance, ...statements: string[]) => withClient(crm.aws.url(instance), {}, async (client) => {
    for (const sql of statements) await client.query(sql)
  })
  const setOn = (name: string) => `ALTER DATABASE "${name}" SET default_transaction_read_only = on`

  before(async () => {
    await crm.open({millisecondsPerSecond: 0.1})
    for (const one of [crm.old, crm.copy]) await admin(one, ...DATABASES.map((name) => `CREATE DATABASE "${name}" OWNER master`))
  })
  after(() => crm.close())
  beforeEach(() => admin(crm.old, setOn('archive')))
  afterEach(async () => {
    for (const one of [crm.old, crm.copy]) await admin(one, ...DATABASES.map((name) => `ALTER DATABASE "${name}" RESET default_transaction_read_only`), 'ALTER ROLE master RESET default_transaction_read_only')
    await crm.reset()
  })

  /** As far as the question, which nobody answers. */
  async function asked(more: Partial<CutoverOptions> = {}): Promise<{error: Awaited<ReturnType<typeof crm.cutover>>['error']; shown: string}> {
    let shown = ''
    const {error} = await crm.cutover(more, {gatekeeper: {check() {}, pass(gate, state) {
      shown = (gate.details?.(state) ?? []).join('\n')
      throw new Error('not answered')
    }}})
    return {error, shown}
  }
  const psql = async (url: string, ...statements: string[]) => promisify(execFile)(`${await clientTools(17)}/psql`, [url, '-X', '-q', '-v', 'ON_ERROR_STOP=1', ...statements.flatMap((sql) => ['-c', sql])])
  const statements = (hints: readonly string[] = []) => hints.flatMap((hint) => hint.split(`On ${COPY}: `)[1] ?? [])

  it('in the copy because writes were stopped at its instant is refused before anything, in every database, and what is printed ends that', async () => {
    await admin(crm.copy, ...['crm', ...DATABASES].map(setOn))
    const begun = crm.aws.server.requests.length
    const {error} = await asked()
    expect(error).to.include({code: 'pitr.copy-frozen', exitCode: 3})
    expect(error?.message).to.contain('crm, crm main, crm2 of crm-prod-pitr').and.not.to.contain('archive')
    expect(crm.aws.server.requests.slice(begun).filter(({action}) => !action.startsWith('Describe'))).to.deep.equal([])
    expect(statements(error?.hints)).to.have.length(3)
    for (const sql of statements(error?.hints)) await psql(crm.url.replace(`:${crm.old.port}/`, `:${crm.copy.port}/`), sql)
    expect(await crm.frozen(crm.copy)).to.deep.equal(['archive'])
    expect((await asked()).error?.message).to.equal('not answered')
  })

  it('in both by dr is so in the copy by dr, too', async () => {
    for (const one of [crm.old, crm.copy]) await admin(one, setOn('crm2'), setOn('archive'))
    crm.old.settings = {...crm.old.settings, TagList: [...crm.old.settings.TagList, {Key: 'dr:frozen', Value: 'crm2 @run-0'}]}
    const {error} = await asked()
    expect(error).to.include({code: 'pitr.copy-frozen'})
    expect(error?.message).to.match(/^crm2 of crm-prod-pitr/)
    crm.old.settings = {...crm.old.settings, TagList: crm.old.settings.TagList.map((tag) => (tag.Key === 'dr:frozen' ? {...tag, Value: 'all @run-0'} : tag))}
    expect((await asked()).error?.message).to.match(/^archive, crm2 of/)
  })

  it('in the copy by a setting of the role is refused, too', async () => {
    await admin(crm.copy, 'ALTER ROLE master SET default_transaction_read_only = on')
    const {error} = await asked()
    expect(error).to.include({code: 'pitr.copy-frozen', exitCode: 3})
    expect(error?.message).to.contain('master')
  })

  it('in the copy is told where the old one cannot be asked what was meant', async () => {
    await admin(crm.copy, setOn('crm2'))
    const api = new Proxy(crm.api, {get(target, property) {
      const method = Reflect.get(target, property) as unknown
      if (property === 'instances') return async (signal: AbortSignal) => (await target.instances(signal)).map((one) => (one.DBInstanceIdentifier === NAME ? {...one, Endpoint: {Address: '127.0.0.1', Port: 1}} : one))
      return typeof method === 'function' ? (method as () => unknown).bind(target) : method
    }})
    const {error, shown} = await asked({api, freeze: false})
    expect(error?.message).to.equal('not answered')
    expect(shown).to.match(/WARNING +crm2: is read-only in the copy, and the old one cannot be asked/)
  })

  it('when the copy is to be proven takes the cut-over back', async () => {
    const options = crm.options({snapshot: false})
    const {stage} = testStage()
    const {error} = await crm.run(cutoverProcedure(options), cutoverState(options, new Date()), {...stage, journal: {...stage.journal, async write(entry) {
      if (entry.event === 'started' && entry.step === 'cutover.prove') await admin(crm.copy, setOn('crm'))
      return stage.journal.write(entry)
    }}})
    expect(error).to.include({code: 'pitr.not-writable', exitCode: 4})
    expect(crm.names()).to.deep.equal({[NAME]: 'old', [COPY]: 'copy'})
    expect(await crm.frozen(crm.old)).not.to.include('crm')
  })

  it('by a freeze takes writes again by the printed lines, pasted into a session of the frozen database', async () => {
    const url = crm.url
    const databases = [{name: 'crm', former: null}, {name: 'crm main', former: 'off'}]
    await freeze(parseTarget(url), databases, {applicationName: 'test', signal: new AbortController().signal})
    const client = await connect(url)
    expect(await client.query('CREATE TABLE refused ()').catch((error: unknown) => (error as {code: string}).code), 'it is frozen').to.equal('25006')
    await endQuietly(client)
    await psql(url, ...unfreezeSql(databases))
    expect(await crm.frozen(crm.old)).to.deep.equal(['archive'])
    expect(await withClient(crm.url, {}, (one) => rowOf(one, "SELECT setconfig AS set FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase WHERE datname = 'crm main'"))).to.deep.equal({set: ['default_transaction_read_only=off']})
  })

  it('by a freeze is ended by hand on the old instance, whatever it is called by then', async () => {
    const unfreeze = (more: Partial<CutoverOptions>, host: string) => {
      const options = crm.options(more)
      const state = {...cutoverState(options, new Date()), old: {id: NAME, resourceId: '', arn: '', engine: '', class: '', status: '', host, port: 5432}, frozen: {databases: [{name: 'crm', former: null}]}}
      const step = cutoverProcedure(options).phases.flatMap(({steps}) => steps).find(({id}) => id === 'cutover.unfreeze')
      return {url: step?.byHand(state)[0]?.argv[1], note: step?.byHand(state)[0]?.note, oldName: state.oldName}
    }
    const named = unfreeze({}, `${NAME}.abc.eu-west-1.rds.amazonaws.com`)
    expect(named.url).to.contain(`@${named.oldName}.abc.eu-west-1.rds.amazonaws.com:5432/crm`)
    expect(named.note).to.contain(named.oldName)
    expect(unfreeze({mode: 'url'}, '10.1.2.3').url).to.contain('@10.1.2.3:5432/crm')
    expect(unfreeze({}, '10.1.2.3').url).to.match(/@crm-prod-old-\d{14}:5432\/crm/)
  })
})
