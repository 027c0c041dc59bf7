import {expect} from 'chai'
import type {RestoreResult} from '../../src/commands/restore/index.ts'
import {requireServerBinaries} from '../../src/lib/sandbox/cluster/binaries.ts'
import {startCluster, type Cluster} from '../../src/lib/sandbox/cluster/cluster.ts'
import {endProcess} from '../../src/lib/system/service.ts'
import {Killing} from '../support/killing.ts'
import {fileURLToPath} from 'node:url'

const binaries = fileURLToPath(new URL('../../node_modules/postgres-17/native/bin', import.meta.url))

describe('dr resume after the server has crashed', function () {
  this.timeout(240_000)
  const dr = new Killing('resumed_crash', {isPrivate: true})
  let again: Cluster | undefined

  before(() => dr.open())
  after(async () => {
    await again?.stop('immediate')
    await dr.close()
  })
  afterEach(() => dr.clear())

  /** The process lives on, and cannot undo what it did. */
  async function crashed(step: string): Promise<string> {
    const one = dr.start('restore', 'latest', '--into', 'resumed_crash_into')
    const holder = await dr.heldComment()
    holder.on('error', () => undefined)
    await dr.hasBegun(`restore.${step}`)
    const pid = again?.pid ?? dr.cluster.pid
    await endProcess(pid, {signal: 'SIGQUIT', timeoutMs: 60_000})
    expect((await one.ended).code, one.stderr).to.be.oneOf([1, 5])
    const {directory, port} = dr.cluster
    again = await startCluster({directory, port, binaries: {...await requireServerBinaries({directory: binaries, major: 17}), source: 'package'}})
    return dr.lastRun()
  }

  for (const [step, isKept] of [['load', false], ['finish', true]] as const) {
    it(`lists a restore that could not be undone when the server was gone in ${step}, and goes on with it`, async () => {
      const name = await crashed(step)
      expect((await dr.listed())[0]).to.deep.include({run: name, status: 'not-undone', undoes: true}).and.have.nested.property('stopped.where', 'undoing')
      const {code, stdout, stderr} = await dr.run('resume', name, '--json')
      expect(code, stderr).to.equal(0)
      const result = JSON.parse(stdout) as RestoreResult
      expect(result).to.include({database: 'resumed_crash_into', rows: 60_000})
      expect(result.findings.filter(({severity}) => severity === 'error')).to.deep.equal([])
      expect(dr.begun('restore.load')).to.equal(isKept ? 1 : 2)
      expect(await dr.listed()).to.deep.equal([])
      expect(await dr.commentOf('resumed_crash_into')).to.equal(null)
    })

    it(`undoes it then, when the server was gone in ${step}`, async () => {
      const name = await crashed(step)
      const {code, stderr} = await dr.run('resume', name, '--undo', '--confirm', 'resumed_crash_into')
      expect(code, stderr).to.equal(0)
      expect(await dr.others()).to.deep.equal([])
      expect(await dr.listed()).to.deep.equal([])
    })
  }

  it('stays in the list when the undo fails, too', async () => {
    const name = await crashed('load')
    await again?.stop('immediate')
    const gone = await dr.run('resume', name, '--undo', '--json')
    expect(gone.code).to.equal(5)
    const {directory, port} = dr.cluster
    again = await startCluster({directory, port, binaries: {...await requireServerBinaries({directory: binaries, major: 17}), source: 'package'}})
    expect((await dr.listed()).map(({run}) => run)).to.deep.equal([name])
    expect((await dr.run('resume', name, '--undo')).code).to.equal(0)
    expect(await dr.others()).to.deep.equal([])
  })
})
