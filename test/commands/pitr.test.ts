import {expect} from 'chai'
import {existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import type {RecoveryResult} from '../../src/lib/cli/pitr-result.ts'
import type {RecoveryPlanResult} from '../../src/lib/cli/pitr-plan.ts'
import type {Failure} from '../../src/lib/cli/failure.ts'
import type {RecoveryList} from '../../src/lib/report/recovery-list.ts'
import type {ListedRun} from '../../src/lib/report/listed-run.ts'
import {removeFolder, temporaryFolder} from '../support/backup.ts'
import {dr as inThisProcess, type DrResult} from '../support/dr.ts'
import {finishDr, startDr, type Started} from '../support/process.ts'
import {rdsCredentials} from '../support/rds-server.ts'
import {RecoveryFixture} from '../support/recovery.ts'
import {until} from '../support/until.ts'

describe('dr pitr', function () {
  this.timeout(240_000)
  const rds = new RecoveryFixture()
  let home: string
  let env: NodeJS.ProcessEnv
  const started: Started[] = []

  before(async () => {
    home = await temporaryFolder('pitr-command')
    await rds.open({MonitoringInterval: 60, MonitoringRoleArn: 'arn:role', TagList: [{Key: 'team', Value: "crm's"}]})
    await rds.sql((client) => client.query(`CREATE TABLE leads (id serial PRIMARY KEY, "createdAt" timestamptz DEFAULT now()); INSERT INTO leads SELECT FROM generate_series(1, 50)`))
    await rds.archived()
    env = {
      DATABASE_URL: rds.aws.url(rds.source), DR_RDS_ENDPOINT: rds.aws.server.endpoint, DR_RDS_INSTANCE: 'crm', AWS_REGION: 'us-east-1', DR_RDS_POLL_SECONDS: '0.05',
      AWS_ACCESS_KEY_ID: rdsCredentials.accessKeyId, AWS_SECRET_ACCESS_KEY: rdsCredentials.secretAccessKey, DR_ENVIRONMENT: 'staging',
    }
  })
  after(async () => {
    await rds.close()
    await removeFolder(home)
  })
  afterEach(async () => {
    for (const {child, ended} of started.splice(0)) {
      child.kill('SIGKILL')
      await ended
    }
    rds.aws.server.faults.clear()
    for (const name of copies()) await rds.remove(name)
    await removeFolder(join(home, 'data', 'journal'))
  })

  const copies = () => [...rds.aws.server.region.instances.keys()].filter((name) => name !== 'crm')
  const asked = () => rds.aws.server.requests.filter(({action, refused}) => action === 'RestoreDBInstanceToPointInTime' && refused === undefined).length
  const journals = () => (existsSync(join(home, 'data', 'journal')) ? readdirSync(join(home, 'data', 'journal')) : []).filter((name) => name.endsWith('.jsonl'))
  const journal = () => journals().map((name) => readFileSync(join(home, 'data', 'journal', name), 'utf8')).join('')

  /** As a process of its own would, but sooner. */
  async function here<T>(args: string[], more: NodeJS.ProcessEnv = {}): Promise<DrResult<T>> {
    const kept = {...process.env}
    for (const name of Object.keys(process.env)) if (/^(DR_|AWS_|DATABASE_URL)/.test(name)) Reflect.deleteProperty(process.env, name)
    Object.assign(process.env, env, {DR_DATA_DIR: join(home, 'data'), DR_CONFIG_DIR: join(home, 'config'), ...more})
    try {
      return await inThisProcess<T>(...args, '--no-input')
    } finally {
      for (const name of Object.keys(process.env)) if (!(name in kept)) Reflect.deleteProperty(process.env, name)
      Object.assign(process.env, kept)
    }
  }

  async function succeeded<T>(...args: string[]): Promise<Pick<DrResult<T>, 'stdout' | 'stderr'> & {value: T}> {
    const {exitCode, stdout, stderr} = await here(args)
    expect(exitCode, stderr + stdout).to.equal(0)
    return {value: (args.includes('--json') ? JSON.parse(stdout) : undefined) as T, stdout, stderr}
  }
  const failed = async (args: string[], more: NodeJS.ProcessEnv = {}): Promise<Failure & {exit: number}> => {
    const {exitCode, stdout} = await here([...args, '--json'], more)
    return {...(JSON.parse(stdout) as {error: Failure}).error, exit: exitCode}
  }

  it('recovers in one command: asks, waits, sets, proves, and prints the name', async () => {
    const {stdout, stderr} = await succeeded('pitr', '--latest', '--target', 'copy', '--yes')
    expect(stdout).to.equal('copy\n')
    expect(stderr).to.match(/OK +50 rows of 0 tenants in 1 table can be read/).and.match(/available after .*, proven after .*; RTO 4 h: met so far\./).and.contain('copy is proven. crm was not touched.').and.contain('dr pitr cutover copy')
    const {value: {copies: listed, sources}} = await succeeded<RecoveryList>('pitr', 'list', '--json')
    expect(listed).to.have.length(1)
    expect(listed[0]).to.include({instance: 'copy', purpose: 'primary', source: 'crm', restoredTo: 'latest', live: false}).and.have.property('run').that.matches(/^\d{8}T\d{6}Z-pitr-/)
    expect(sources).to.have.length(1)
    const {stdout: text} = await succeeded('pitr', 'list')
    expect(text).to.match(/^INSTANCE +STATUS +FROM +TO +LATEST +DAYS\ncrm +available +20/).and.match(/\nCOPY +STATUS .*\ncopy +\S+ +primary +crm/)
  })

  it('ends with 4 when the copy is not what it should be, and with 7 when nobody looked into it; it stays', async () => {
    await succeeded('pitr', '--latest', '--target', 'copy', '--yes')
    await rds.sql((client) => client.query(`UPDATE leads SET "createdAt" = now() + interval '1 day' WHERE id = 1`), rds.instance('copy'))
    const wrong = await here<RecoveryResult>(['pitr', 'resume', 'copy'])
    expect(wrong.exitCode).to.equal(4)
    expect(wrong.stderr).to.match(/ERROR +public\.leads: holds a row of .* which is after the instant/).and.contain('copy is not proven: 1 thing is not as it should be. It stays').and.contain('dr pitr resume copy proves it again')
    const unlooked = await here<RecoveryResult>(['pitr', 'resume', 'copy', '--json'], {DATABASE_URL: ''})
    expect(unlooked.exitCode, unlooked.stdout).to.equal(7)
    expect(JSON.parse(unlooked.stdout) as RecoveryResult).to.include({outcome: 'unproven', reference: null})
    expect(copies()).to.deep.equal(['copy'])
  })

  it('shows a plan, writes it into a file, and carries that out once', async () => {
    const file = join(home, 'plan.json')
    const {value: plan} = await succeeded<RecoveryPlanResult>('pitr', 'plan', '--latest', '--target', 'planned', '--purpose', 'side', '--class', 'db.t4g.small', '--out', file, '--json')
    expect(plan).to.deep.include({source: 'crm', target: 'planned', purpose: 'side', to: null, file}).and.have.nested.property('request.DBInstanceClass', 'db.t4g.small')
    expect(plan.commands[0]).to.match(/^aws rds restore-db-instance-to-point-in-time --source-db-instance-identifier crm --target-db-instance-identifier planned --use-latest-restorable-time --db-instance-class db\.t4g\.small .* --tags 'Key=team,Value=crm'\\''s' Key=dr:run-id,/)
    expect(plan.commands[1]).to.equal('aws rds modify-db-instance --db-instance-identifier planned --monitoring-interval 60 --monitoring-role-arn arn:role --preferred-maintenance-window sun:04:00-sun:04:30 --apply-immediately')
    expect(copies()).to.deep.equal([])
    const {stdout} = await succeeded('pitr', 'plan', '--latest', '--target', 'planned')
    expect(stdout).to.match(/^Source +crm\nNew +planned/).and.match(/\nINPUT +SOURCE +AWS WOULD +DR SENDS +WHY\n/).and.match(/\nMultiAZ +false +false +false +as the source has it; a side copy/).and.match(/\nNot sent {4}DBName, .*: not for PostgreSQL\n/).and.match(/\nDeletionProtection +false +false +true +on for/).and.match(/\nSET AFTERWARDS +VALUE\nMonitoringInterval +60/).and.contain('Warning     A proxy')

    const {value: result} = await succeeded<RecoveryResult>('pitr', 'apply', file, '--yes', '--json')
    expect(result).to.deep.include({target: 'planned', outcome: 'proven', purpose: 'side'}).and.have.nested.property('settled.modified').that.deep.equals(['MonitoringInterval', 'MonitoringRoleArn'])
    expect(result.rto.availableMs).to.be.a('number').and.be.at.most(result.rto.verifiedMs ?? 0)
    expect(rds.instance('planned').settings.TagList.find(({Key}) => Key === 'dr:run-id')?.Value).to.equal(plan.runId)
    const before = asked()
    expect((await succeeded<RecoveryResult>('pitr', 'apply', file, '--yes', '--json')).value).to.include({adopted: true})
    expect(asked()).to.equal(before)
    writeFileSync(file, readFileSync(file, 'utf8').replace('db.t4g.small', 'db.t4g.large'))
    expect(await failed(['pitr', 'apply', file, '--yes'])).to.include({code: 'pitr.plan-edited', exit: 3})
  })

  it('prints the steps with whole commands, and asks before anything is asked of AWS', async () => {
    const {stdout} = await succeeded('pitr', '--latest', '--target', 'copy', '--plan')
    expect(stdout).to.contain('$ aws rds restore-db-instance-to-point-in-time --source-db-instance-identifier crm').and.contain('$ aws rds modify-db-instance').and.contain('(asks for copy)')
    const before = asked()
    expect(await failed(['pitr', '--latest', '--target', 'copy'])).to.include({code: 'confirmation.missing', exit: 2})
    expect(await failed(['pitr', '--latest', '--target', 'copy', '--yes', '--environment', 'production'])).to.include({code: 'confirmation.missing', exit: 2})
    expect(await failed(['pitr', '--latest', '--target', 'copy', '--confirm', 'other'])).to.include({code: 'confirmation.mismatch', exit: 2})
    for (const [args, code, exit] of [[['--to', '2026-11-22T09:00:00'], 'pitr.time', 2], [[], 'pitr.time', 2], [['--to', '2020-01-01T00:00:00Z'], 'pitr.window', 3], [['--latest', '--source', 'nobody'], 'rds.no-instance', 3], [['--latest', '--target', 'a--b'], 'pitr.target', 2], [['--before-damage'], 'pitr.no-damage', 3]] as const) {
      expect(await failed(['pitr', ...args, '--yes']), args.join(' ')).to.include({code, exit})
    }
    expect(await failed(['pitr', '--latest', '--yes'], {AWS_SECRET_ACCESS_KEY: 'other'})).to.include({code: 'rds.credentials', exit: 5})
    expect(asked()).to.equal(before)
    expect((await succeeded<{runs: ListedRun[]}>('resume', '--json')).value.runs, 'nothing is left of what was refused').to.deep.equal([])
  })

  it('takes the instant before the damage that was investigated', async () => {
    const {host, pathname} = new URL(env.DATABASE_URL ?? '')
    const damage = (point: string, certainty = 'likely') => ({kind: 'rows-gone', table: {schema: 'public', name: 'leads'}, rows: 7, certainty, evidence: [], when: {from: point, to: point, witness: 'commit'}, point, commands: []})
    const investigated = (name: string, ...damages: ReturnType<typeof damage>[]) => {
      const state = {environment: 'staging', database: 'postgres', timings: [], investigation: {damages}}
      const entry = (event: string) => JSON.stringify({at: new Date().toISOString(), procedure: 'investigate', event, state, process: {pid: 1, host: 'h', startedAt: 0}, target: `${host}${pathname}`, timings: {}})
      mkdirSync(join(home, 'data', 'journal'), {recursive: true})
      writeFileSync(join(home, 'data', 'journal', `20261122T02000${name}Z-investigate-000${name}.jsonl`), `${entry('begun')}\n${entry('finished')}\n`)
    }
    const point = new Date(Math.ceil((rds.source.restorableFrom?.getTime() ?? 0) / 1000) * 1000)
    await rds.archived(point)
    investigated('1', damage(point.toISOString().replace('.000Z', 'Z')), damage('2020-01-01T00:00:00Z', 'possible'))
    const {value} = await succeeded<RecoveryPlanResult>('pitr', 'plan', '--before-damage', '--json')
    const {stderr} = await succeeded('pitr', 'plan', '--before-damage')
    expect(value.to).to.equal(point.toISOString())
    expect(value.target).to.equal(`crm-pitr-${point.toISOString().replaceAll(/\D/g, '').slice(0, 14)}`)
    expect(stderr).to.match(/Before rows were deleted \(public\.leads, 7 rows\), by \S+-investigate-0001: 20/)
    await removeFolder(join(home, 'data', 'journal'))
    investigated('2', damage('2020-01-01T00:00:00Z'), damage('2020-01-02T00:00:00Z'))
    const several = await failed(['pitr', 'plan', '--before-damage'])
    expect(several).to.include({code: 'pitr.which-damage', exit: 2})
    expect(several.hints[0]).to.equal('--to 2020-01-01T00:00:00Z: before rows were deleted (public.leads, 7 rows)')
  })

  /** A process that has asked AWS, and waits: it looks seldom, so that it cannot come to its end. */
  async function waiting(): Promise<Started> {
    const one = startDr(['pitr', '--latest', '--target', 'copy', '--yes', '--no-input'], home, {env: {...env, DR_RDS_POLL_SECONDS: '10'}, script: 'bin/dev.js'})
    started.push(one)
    await Promise.race([until(() => journals().length > 0 && journal().includes('"event":"started","step":"pitr.wait"'), 60_000), one.ended.then(() => { throw new Error(one.stderr) })])
    return one
  }

  it('ends with 130 at Ctrl-C, deletes nothing, and dr pitr resume goes on with its run', async () => {
    const before = asked()
    const one = await waiting()
    one.child.kill('SIGINT')
    expect(await one.ended).to.include({code: 130})
    expect(one.stderr).to.contain('what was begun goes on without dr').and.contain('dr pitr resume copy')
    expect(copies()).to.deep.equal(['copy'])
    expect((await succeeded<{runs: ListedRun[]}>('resume', '--json')).value.runs[0]).to.deep.include({procedure: 'pitr', status: 'stopped', left: ['instance copy at AWS, which costs: dr pitr cleanup'], undoes: false})
    const {value} = await succeeded<RecoveryResult>('pitr', 'resume', 'copy', '--json')
    expect(value).to.include({target: 'copy', outcome: 'proven'})
    expect(journals(), 'the same run').to.have.length(1)
    expect(asked()).to.equal(before + 1)
    expect((await succeeded<{runs: ListedRun[]}>('resume', '--json')).value.runs).to.deep.equal([])
  })

  it('is gone on with after kill -9, by its journal, and from another machine by the marks', async () => {
    const one = await waiting()
    one.child.kill('SIGKILL')
    await one.ended
    const before = asked()
    const {value: resumed} = await succeeded<RecoveryResult>('pitr', 'resume', '--json')
    expect(resumed).to.include({target: 'copy', outcome: 'proven'})
    expect(journals(), 'the same run').to.have.length(1)

    const other = await temporaryFolder('pitr-other')
    try {
      const {code, stdout, stderr} = await finishDr(['pitr', 'resume', '--json', '--no-input'], other, {env, script: 'bin/dev.js'})
      expect(code, stderr + stdout).to.equal(0)
      expect(JSON.parse(stdout) as RecoveryResult).to.include({target: 'copy', outcome: 'proven', adopted: true, source: 'crm'})
    } finally {
      await removeFolder(other)
    }
    expect(asked()).to.equal(before)
    expect(copies()).to.deep.equal(['copy'])
  })
})
