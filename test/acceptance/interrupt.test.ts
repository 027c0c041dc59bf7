import {expect} from 'chai'
import {readFile} from 'node:fs/promises'
import {join} from 'node:path'
import {startDr, type Started} from '../support/process.ts'
import {temporaryFolder} from '../support/temporary.ts'
import {trialOnTerminal} from '../support/terminal.ts'
import {until} from '../support/until.ts'

describe('a run that is stopped', () => {
  const home = temporaryFolder()
  let started: Started | undefined

  afterEach(async () => {
    started?.child.kill('SIGKILL')
    await started?.ended
  })

  const trial = (...args: string[]) => startDr(['trial', '--yes', '--log', join(home.path, 'log'), ...args], home.path, {script: 'test/support/trial/run.ts'})
  const resume = (...args: string[]) => startDr(['resume', ...args], home.path, {script: 'test/support/trial/run.ts'})
  const log = async () => (await readFile(join(home.path, 'log'), 'utf8')).trim().split('\n')
  const logged = (line: string, times = 1) => until(async () => (await log().catch((): string[] => [])).filter((one) => one === line).length === times)

  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    it(`undoes what was begun at the first ${signal}, and exits with 130`, async () => {
      started = trial('--hold', 'two')
      await logged('two begins')
      started.child.kill(signal)
      expect(await started.ended).to.deep.equal({code: 130, signal: null})
      expect(await log()).to.deep.equal(['one begins', 'one ends', 'two begins', 'undo two', 'undo one'])
      expect(started.stderr).to.include('Ctrl-C again').and.include('Error: Interrupted.').and.include('Journal: ')
      expect(started.stdout).to.equal('')
    })
  }

  it('leaves at once at the second Ctrl-C', async () => {
    started = trial('--hold', 'two', '--stick', 'two')
    const {child, ended} = started
    await logged('two begins')
    child.kill('SIGINT')
    await started.see(/Undo: Step two: started/)
    // An echo right after the first does not count, so press until it is heard.
    const pressing = setInterval(() => { child.kill('SIGINT') }, 50)
    expect(await ended).to.deep.equal({code: 130, signal: null})
    clearInterval(pressing)
    expect(await log()).to.deep.equal(['one begins', 'one ends', 'two begins', 'undo two'])
    expect(started.stderr).to.include('Left at once')
  })

  it('prints one document with --json', async () => {
    started = trial('--hold', 'two', '--json')
    const {child, ended} = started
    await logged('two begins')
    child.kill('SIGINT')
    expect((await ended).code).to.equal(130)
    expect(JSON.parse(started.stdout)).to.have.nested.property('error.code', 'interrupted')
  })

  it('goes on after SIGKILL: what is done is not done again, and all of it is undone when it fails then', async () => {
    started = trial('--hold', 'two')
    await logged('two begins')
    started.child.kill('SIGKILL')
    expect((await started.ended).signal).to.equal('SIGKILL')

    started = resume('latest', '--yes', '--json')
    // The state of the run is that of the journal, so step two holds again.
    await logged('two begins', 2)
    started.child.kill('SIGINT')
    expect((await started.ended).code).to.equal(130)
    expect(await log()).to.deep.equal(['one begins', 'one ends', 'two begins', 'two begins', 'undo two', 'undo one'])
  })

  it('finishes after SIGKILL', async () => {
    started = trial('--rounds', '3')
    await logged('two begins')
    started.child.kill('SIGKILL')
    await started.ended
    started = resume('latest', '--yes', '--json')
    expect((await started.ended).code, started.stderr).to.equal(0)
    expect(JSON.parse(started.stdout)).to.deep.nested.include({'state.ran': ['one', 'two', 'three'], 'timings.phases[0].steps[0].earlier': true})
    const lines = await log()
    expect(lines.filter((line) => line === 'one begins')).to.have.length(1)
    expect(lines.slice(-4)).to.deep.equal(['two begins', 'two ends', 'three begins', 'three ends'])
  })

  it('is not gone on with while it is still at work', async () => {
    started = trial('--hold', 'two')
    await logged('two begins')
    const second = resume('latest', '--yes', '--json')
    expect((await second.ended).code).to.equal(6)
    expect(JSON.parse(second.stdout)).to.have.nested.property('error.code', 'run.active')
  })

  it('is gone on with by one of two that come at once', async () => {
    started = trial('--hold', 'two')
    await logged('two begins')
    started.child.kill('SIGKILL')
    await started.ended
    const both = [resume('latest', '--yes', '--json'), resume('latest', '--yes', '--json')]
    // The winner holds in step two; the loser ends by itself.
    await logged('two begins', 2)
    await Promise.race(both.map(({ended}) => ended))
    for (const {child} of both) child.kill('SIGINT')
    const codes = await Promise.all(both.map(async ({ended}) => (await ended).code))
    expect(codes.toSorted((a, b) => (a ?? 0) - (b ?? 0))).to.deep.equal([6, 130])
    expect(await log()).to.deep.equal(['one begins', 'one ends', 'two begins', 'two begins', 'undo two', 'undo one'])
  })

  it('is undone after SIGKILL, last step first', async () => {
    started = trial('--hold', 'two')
    await logged('two begins')
    started.child.kill('SIGKILL')
    await started.ended
    started = resume('latest', '--undo', '--json')
    expect((await started.ended).code, started.stderr).to.equal(0)
    expect(JSON.parse(started.stdout)).to.include({undone: true})
    expect(await log()).to.deep.equal(['one begins', 'one ends', 'two begins', 'undo two', 'undo one'])
    started = resume('latest', '--undo', '--json')
    expect((await started.ended).code).to.equal(2)
    expect(JSON.parse(started.stdout)).to.have.nested.property('error.code', 'run.unknown')
  })

  it('is undone when it is killed in its undo, and that is listed', async () => {
    started = trial('--hold', 'two', '--stick', 'one')
    await logged('two begins')
    started.child.kill('SIGINT')
    await logged('undo one')
    started.child.kill('SIGKILL')
    await started.ended
    started = resume()
    expect((await started.ended).code).to.equal(0)
    expect(started.stdout).to.match(/-trial-\S+ {2}stopped in the undo of: Step one/).and.match(/dr resume \S+ --undo/)
  })

  it('undoes what was begun when its terminal goes away, though nobody hears of it', async () => {
    const terminal = trialOnTerminal(['--yes', '--log', join(home.path, 'log'), '--hold', 'two'], home.path, 80)
    await logged('two begins')
    // What an SSH server does when the line is cut: the terminal is closed under its processes.
    terminal.child.kill('SIGKILL')
    await logged('undo one')
    expect((await log()).slice(-2)).to.deep.equal(['undo two', 'undo one'])
    await until(async () => {
      const listed = resume('--json')
      await listed.ended
      return (JSON.parse(listed.stdout) as {runs: object[]}).runs.length === 0
    }, 30_000)
  })
})
