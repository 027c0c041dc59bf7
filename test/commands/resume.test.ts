import {expect} from 'chai'
import {existsSync, readdirSync, readFileSync, rmSync} from 'node:fs'
import {appendFile, rename} from 'node:fs/promises'
import {join} from 'node:path'
import type {RestoreResult} from '../../src/commands/restore/index.ts'
import {endQuietly, withClient} from '../../src/lib/postgres/connection.ts'
import {runBackup} from '../support/backup.ts'
import {finishDr} from '../support/process.ts'
import {KEPT, Killing} from '../support/killing.ts'

const STEPS = ['roles', 'sweep', 'create', 'schema', 'load', 'rest', 'analyze', 'integrity', 'finish']

describe('dr resume', function () {
  this.timeout(240_000)
  const dr = new Killing('resumed')

  before(() => dr.open())
  after(() => dr.close())
  afterEach(() => dr.clear())

  async function expectNothingLeft(): Promise<void> {
    expect(await dr.others()).to.deep.equal([])
    expect(readdirSync(join(dr.home, 'data', 'run'))).to.deep.equal([])
    expect(existsSync(join(dr.home, 'data', 'staging')) ? readdirSync(join(dr.home, 'data', 'staging')) : []).to.deep.equal([])
    expect(dr.journals().length).to.equal(readdirSync(join(dr.home, 'data', 'journal')).length)
    expect(await dr.listed()).to.deep.equal([])
  }

  for (const step of STEPS) {
    it(`lists a restore that was killed in ${step}, and goes on with it to a database that equals the backup`, async () => {
      const name = await dr.killed(step, 'latest', '--into', 'resumed_into', '--jobs', '1')
      const [known, ...more] = await dr.listed()
      expect(more).to.deep.equal([])
      expect(known).to.include({run: name, procedure: 'restore', status: 'stopped', environment: 'development', target: `127.0.0.1:${dr.cluster.port}/resumed`, undoes: true})
      expect(known?.title).to.include(dr.label)

      const [before, loads] = [await dr.others(), dr.begun('restore.load')]
      const isKept = dr.journal().includes('"event":"done","step":"restore.rest"')
      const {code, stdout, stderr} = await dr.run('resume', name, '--json')
      expect(code, stderr).to.equal(0)
      const result = JSON.parse(stdout) as RestoreResult
      expect(result).to.include({database: 'resumed_into', label: dr.label, tables: 2, rows: 60_000, run: name})
      expect(result.findings.filter(({severity}) => severity === 'error' || severity === 'warning')).to.deep.equal([])
      expect(result.findings.filter(({code: found}) => found === 'integrity.digests')).to.have.length(1)
      expect(await dr.others()).to.deep.equal(['resumed_into'])
      expect(await dr.commentOf('resumed_into')).to.equal(null)
      if (KEPT.includes(step)) expect({isKept, before}).to.deep.equal({isKept: true, before: ['resumed_into']})
      expect(dr.begun('restore.load')).to.equal(isKept ? loads : loads + 1)
      expect(await dr.listed()).to.deep.equal([])
      expect(readdirSync(join(dr.home, 'data', 'run'))).to.deep.equal([])
    })

    it(`undoes a restore that was killed in ${step}, and leaves nothing`, async () => {
      const name = await dr.killed(step, 'latest', '--into', 'resumed_into')
      const {code, stdout, stderr} = await dr.run('resume', name, '--undo', '--confirm', 'resumed_into')
      expect(code, stderr).to.equal(0)
      expect(stdout).to.equal('')
      expect(stderr).to.include(`The run ${name} is undone.`)
      await expectNothingLeft()
      expect((await dr.run('resume', name, '--undo')).code).to.equal(2)
    })
  }

  it('lists for people, with what was left and what can be done', async () => {
    const name = await dr.killed('load')
    const {code, stdout, stderr} = await dr.run('resume')
    expect(code, stderr).to.equal(0)
    expect(stdout).to.include(`${name}  stopped`).and.match(/left: database resumed_restore_\d{14}, not complete/).and.include(`dr resume ${name}\n    restores into`).and.include(`dr resume ${name} --undo\n    removes`)
    expect((await dr.run('resume', '--undo', name)).code).to.equal(0)
    expect((await dr.run('resume')).stdout).to.match(/^There are no unfinished runs\.\nThe last one that was stopped has undone itself/).and.include(`dr resume ${name}\n`)
    expect((await dr.listed('--all')).map(({status}) => status)).to.deep.equal(['undone'])
  })

  it('lists one that is at work as running, and neither goes on with it nor undoes it', async () => {
    const one = dr.start('restore', 'latest', '--into', 'resumed_into')
    const holder = await dr.heldComment()
    const [known] = await dr.listed()
    expect(known).to.include({status: 'running', continues: null, undoes: false})
    for (const args of [[], ['--undo']]) expect((await dr.run('resume', known?.run ?? '', ...args)).code).to.equal(6)
    await holder.query('ROLLBACK')
    await endQuietly(holder)
    expect((await one.ended).code, one.stderr).to.equal(0)
    expect(await dr.others()).to.include('resumed_into')
  })

  it('does not list one that undid itself at Ctrl-C, and can begin it anew', async () => {
    const one = dr.start('restore', 'latest', '--into', 'resumed_into')
    await dr.hasBegun('restore.load')
    one.child.kill('SIGINT')
    expect((await one.ended).code).to.equal(130)
    expect(await dr.listed()).to.deep.equal([])
    const name = dr.journals()[0]?.replace('.jsonl', '') ?? ''
    const {code, stdout, stderr} = await dr.run('resume', name)
    expect(code, stderr).to.equal(0)
    expect(stdout).to.equal('resumed_into\n')
    expect(stderr).to.include('begins anew')
  })

  it('undoes itself at Ctrl-C while it goes on', async () => {
    const name = await dr.killed('load', 'latest', '--into', 'resumed_into')
    const one = dr.start('resume', name)
    await dr.hasBegun('restore.load', 2)
    one.child.kill('SIGINT')
    expect((await one.ended).code, one.stderr).to.equal(130)
    await expectNothingLeft()
  })

  it('asks before it drops what holds all of the backup', async () => {
    const name = await dr.killed('integrity', 'latest', '--into', 'resumed_into')
    const {code, stderr} = await dr.run('resume', name, '--undo')
    expect({code, stderr}).to.deep.include({code: 2}).and.property('stderr').contains('Drop resumed_into, which holds all of backup')
    expect(await dr.others()).to.include('resumed_into')
    expect((await dr.run('resume', name, '--undo', '--yes')).code).to.equal(0)
    await expectNothingLeft()
  })

  it('begins anew when a later restore has removed its database, and keeps to its own name', async () => {
    const name = await dr.killed('integrity')
    const into = (await dr.listed())[0]?.left[0]?.split(/[ ,]/)[1] ?? ''
    expect(await dr.others()).to.include(into)
    const later = await dr.run('restore', 'latest', '--into', 'resumed_later')
    expect(later.code, later.stderr).to.equal(0)
    expect(await dr.others()).not.to.include(into)
    const {code, stdout, stderr} = await dr.run('resume', name)
    expect(code, stderr).to.equal(0)
    expect(stderr).to.match(new RegExp(`begins anew:\\s+${into} is gone`))
    expect(stdout).to.equal(`${into}\n`)
    expect(await dr.others()).to.deep.equal(['resumed_later', into].toSorted())
  })

  it('never touches a database that has taken the name meanwhile', async () => {
    const name = await dr.killed('integrity', 'latest', '--into', 'resumed_into')
    await dr.cluster.drop('resumed_into')
    await withClient(await dr.cluster.createDatabase('resumed_into'), {}, (client) => client.query('CREATE TABLE precious (i int)'))
    const again = await dr.run('resume', name, '--json')
    expect(again.code).to.equal(3)
    expect(JSON.parse(again.stdout)).to.have.nested.property('error.code', 'restore.name-taken')
    expect((await dr.listed()).map(({run: left}) => left)).to.deep.equal([name])
    expect((await dr.run('resume', name, '--undo', '--confirm', 'resumed_into')).code).to.equal(0)
    await withClient(dr.cluster.url('resumed_into'), {}, (client) => client.query('SELECT FROM precious'))
    expect(await dr.listed()).to.deep.equal([])
  })

  it('takes the backup of then, though there is a newer one', async () => {
    const name = await dr.killed('load', '--into', 'resumed_into')
    const newer = await runBackup({url: dr.env.DATABASE_URL ?? '', directory: `${dr.home}/data`, toolsMajor: 17})
    if (newer.error) throw newer.error
    try {
      const {code, stdout, stderr} = await dr.run('resume', name, '--json')
      expect(code, stderr).to.equal(0)
      expect(JSON.parse(stdout)).to.include({label: dr.label})
    } finally {
      rmSync(join(dr.home, 'data', 'backups', 'development', newer.state.label ?? ''), {recursive: true})
    }
  })

  it('is left where it was when it cannot go on, and is undone without the backup', async () => {
    const name = await dr.killed('integrity', 'latest', '--into', 'resumed_into')
    const place = join(dr.home, 'data', 'backups', 'development')
    await rename(place, `${place}.away`)
    try {
      expect((await dr.run('resume', name)).code).to.equal(3)
      expect(await dr.others()).to.include('resumed_into')
      expect((await dr.listed())[0]).to.include({run: name, status: 'stopped'})
      expect((await dr.run('resume', name, '--undo', '--confirm', 'resumed_into')).code).to.equal(0)
    } finally {
      await rename(`${place}.away`, place)
    }
    await expectNothingLeft()
  })

  it('refuses another database, another environment, and runs that are not there or over', async () => {
    const name = await dr.killed('load', 'latest', '--into', 'resumed_into')
    const elsewhere = await finishDr(['resume', name, '--json'], dr.home, {env: {...dr.env, DATABASE_URL: dr.cluster.url('postgres')}})
    expect(elsewhere.code).to.equal(2)
    expect(JSON.parse(elsewhere.stdout)).to.have.nested.property('error.code', 'run.other-target')
    const codeOf = async (...args: string[]) => (JSON.parse((await dr.run('resume', '--json', ...args)).stdout) as {error: {code: string}}).error.code
    expect(await codeOf(name, '--environment', 'production')).to.equal('run.environment')
    expect(await codeOf('20261122T101942Z-restore-0000')).to.equal('run.unknown')
    expect((await dr.run('resume', name)).code).to.equal(0)
    expect(await codeOf(name)).to.equal('run.finished')
    expect(await codeOf(name, '--undo')).to.equal('run.finished')
    expect(await dr.others()).to.include('resumed_into')
  })

  it('bears a last line that the kill has torn', async () => {
    const name = await dr.killed('load', 'latest', '--into', 'resumed_into')
    await appendFile(join(dr.home, 'data', 'journal', `${name}.jsonl`), '{"at":"2026-11-22T02:00:00Z","procedure":"restore","event":"done","step":"restore.lo')
    expect((await dr.listed())[0]).to.deep.include({run: name, status: 'stopped'}).and.have.nested.property('stopped.step', 'restore.load')
    const {code, stderr} = await dr.run('resume', name)
    expect(code, stderr).to.equal(0)
  })

  it('keeps the flags and the configuration that the run was begun with', async () => {
    const name = await dr.killed('load', dr.label, '--into=resumed; "odd"', '-j', '1', '--no-digest')
    const [first] = readFileSync(join(dr.home, 'data', 'journal', `${name}.jsonl`), 'utf8').split('\n')
    expect(JSON.parse(first ?? '')).to.deep.include({command: {id: 'restore', argv: [dr.label, '--into=resumed; "odd"', '--jobs=1', '--no-digest'], environment: 'development'}})
    const {code, stdout, stderr} = await dr.run('resume', 'latest', '--json')
    expect(code, stderr).to.equal(0)
    const result = JSON.parse(stdout) as RestoreResult
    expect(result.database).to.equal('resumed; "odd"')
    expect(result.findings.find(({code: found}) => found === 'integrity.digests')).to.have.property('message').contains('not compared')
  })
})
