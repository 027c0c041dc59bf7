import {expect} from 'chai'
import {existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {Killing} from '../support/killing.ts'
import {until} from '../support/until.ts'

describe('dr resume of a backup', function () {
  this.timeout(240_000)
  const dr = new Killing('resumed_backup')

  before(() => dr.open())
  after(() => dr.close())
  afterEach(() => dr.clear())

  const place = () => join(dr.home, 'data', 'backups', 'development')
  const holds = (label: string, name: string) => existsSync(join(place(), label, name))
  const unfinished = () => readdirSync(place()).filter((label) => holds(label, 'lease.json') && !holds(label, 'manifest.json'))

  /** While it holds its lease, and has no manifest yet. */
  async function killed(): Promise<string> {
    const one = dr.start('backup', '--local')
    await until(() => unfinished().length > 0, 60_000)
    one.child.kill('SIGKILL')
    await one.ended
    expect(unfinished(), 'it was killed in time').to.have.length(1)
    return dr.lastRun()
  }

  it('says that it is not gone on with, and removes what it left', async () => {
    const name = await killed()
    const [known] = await dr.listed()
    expect(known).to.include({run: name, continues: null, undoes: true}).and.have.property('whyNot').contains('dr backup makes a new one')
    expect(known?.left).to.deep.equal([`an unfinished backup at ${join(dr.home, 'data', 'backups')}`])
    const refused = await dr.run('resume', name, '--json')
    expect(refused.code).to.equal(2)
    expect(JSON.parse(refused.stdout)).to.have.nested.property('error.code', 'run.once')
    const {code, stderr} = await dr.run('resume', name, '--undo')
    expect(code, stderr).to.equal(0)
    expect(stderr).to.include('Removed the unfinished backup')
    expect(readdirSync(place())).to.deep.equal([dr.label])
    expect(readdirSync(join(dr.home, 'data', 'backups', '.staging'))).to.deep.equal([])
    expect(await dr.listed()).to.deep.equal([])
  })

  it('leaves alone what another dead backup left', async () => {
    const name = await killed()
    const [label = ''] = unfinished()
    const other = '20200101T000000Z-0000'
    mkdirSync(join(place(), other))
    const lease = JSON.parse(readFileSync(join(place(), label, 'lease.json'), 'utf8')) as object
    writeFileSync(join(place(), other, 'lease.json'), JSON.stringify({...lease, ticks: '1'}))
    expect((await dr.run('resume', name, '--undo')).code).to.equal(0)
    expect(unfinished()).to.deep.equal([other])
    rmSync(join(place(), other), {recursive: true})
  })

  it('lists it no more when the next one is finished, which has removed it', async () => {
    await killed()
    const {code, stdout, stderr} = await dr.run('backup', '--local')
    expect(code, stderr).to.equal(0)
    expect(await dr.listed()).to.deep.equal([])
    expect(readdirSync(place()).toSorted()).to.deep.equal([dr.label, stdout.trim()].toSorted())
    rmSync(join(place(), stdout.trim()), {recursive: true})
  })

  it('never removes a backup that has its manifest, though its run was killed before it ended', async () => {
    const one = dr.start('backup', '--local')
    await until(() => readdirSync(place()).some((label) => label !== dr.label && holds(label, 'manifest.json')), 60_000)
    one.child.kill('SIGKILL')
    await one.ended
    const complete = readdirSync(place()).find((label) => label !== dr.label) ?? ''
    const {code} = await dr.run('resume', dr.lastRun(), '--undo')
    // It may have come to its end before it was killed.
    expect(code).to.be.oneOf([0, 2])
    expect(holds(complete, 'manifest.json')).to.equal(true)
    rmSync(join(place(), complete), {recursive: true})
  })
})
