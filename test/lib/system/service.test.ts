import {expect} from 'chai'
import {readFile, stat} from 'node:fs/promises'
import {join} from 'node:path'
import {endProcess, processAlive, processCommand, runService, startService} from '../../../src/lib/system/service.ts'
import {drErrorOf} from '../../support/rejection.ts'
import {temporaryFolder} from '../../support/temporary.ts'

const until = async (condition: () => Promise<boolean>): Promise<void> => {
  const end = Date.now() + 10_000
  while (!(await condition())) {
    if (Date.now() > end) throw new Error('The condition never came true.')
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

describe('service', () => {
  const folder = temporaryFolder()

  it('runs a command and says how it ended', async () => {
    const run = await runService(['/bin/sh', '-c', 'echo "$WORD"; echo bad >&2; exit 3'], {env: {WORD: 'good'}})
    expect(run).to.deep.equal({code: 3, stdout: 'good\n', stderr: 'bad\n'})
  })

  it('names the program that it cannot start', async () => {
    const {code, message} = await drErrorOf(runService(['/nowhere/program']))
    expect(code).to.equal('service.start')
    expect(message).to.include('/nowhere/program')
  })

  it('starts a process that logs to a private file, and ends it', async () => {
    const logFile = join(folder.path, 'log')
    const {pid} = await startService(['/bin/sh', '-c', 'echo started; exec sleep 600'], {logFile})
    await until(async () => (await readFile(logFile, 'utf8')) === 'started\n')
    expect((await stat(logFile)).mode & 0o777).to.equal(0o600)
    await until(async () => (await processCommand(pid)) === 'sleep 600')
    expect(processAlive(pid)).to.equal(true)
    await endProcess(pid)
    expect(processAlive(pid)).to.equal(false)
    expect(await processCommand(pid)).to.be.oneOf([undefined, ''])
  })

  it('kills a process that does not listen', async () => {
    const logFile = join(folder.path, 'log')
    const {pid} = await startService(['/bin/sh', '-c', 'trap "" TERM; echo deaf; while :; do sleep 0.05; done'], {logFile})
    await until(async () => (await readFile(logFile, 'utf8')) === 'deaf\n')
    await endProcess(pid, {timeoutMs: 100})
    expect(processAlive(pid)).to.equal(false)
  })

  it('takes a process that is gone for ended', async () => {
    const {pid} = await startService(['/bin/sh', '-c', 'exit 0'], {logFile: join(folder.path, 'log')})
    await until(async () => !processAlive(pid))
    await endProcess(pid)
  })
})
