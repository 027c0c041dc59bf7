import {expect} from 'chai'
import {readFile} from 'node:fs/promises'
import {join} from 'node:path'
import {finishDr, type Finished} from '../support/process.ts'
import {temporaryFolder} from '../support/temporary.ts'

interface Document {
  error?: {code: string; message: string; hints: string[]; exitCode: number; run?: string; journal?: string}
  run?: string
  journal?: string
  state?: {ran: string[]}
  timings?: {phases: object[]}
  phases?: object[]
}

describe('--json', () => {
  const home = temporaryFolder()

  const trial = (...args: string[]) => finishDr(['trial', '--json', '--log', join(home.path, 'log'), ...args], home.path, {script: 'test/support/trial/run.ts'})

  /** Exactly one document, and nothing else on stdout. */
  const documentOf = ({stdout}: Finished) => JSON.parse(stdout) as Document

  it('prints one document and no talk', async () => {
    const finished = await trial('--confirm', 'crm')
    expect(finished).to.include({code: 0, stderr: ''})
    const document = documentOf(finished)
    expect(document.state?.ran).to.deep.equal(['one', 'two', 'three'])
    expect(document.timings?.phases).to.have.length(2)
    expect(await readFile(document.journal ?? '', 'utf8')).to.include('"event":"finished"')
  })

  it('returns the plan with --plan', async () => {
    expect(documentOf(await trial('--plan')).phases).to.have.length(2)
  })

  const failures: {title: string; args: string[]; code: string; exitCode: number}[] = [
    {title: 'a failing step', args: ['--yes', '--fail', 'two'], code: 'trial.failed', exitCode: 2},
    {title: 'a bug', args: ['--yes', '--bug', 'two'], code: 'unexpected', exitCode: 1},
    {title: 'a missing confirmation', args: [], code: 'confirmation.missing', exitCode: 2},
    {title: 'a wrong confirmation', args: ['--confirm', 'other'], code: 'confirmation.mismatch', exitCode: 2},
    {title: '--yes where it is not enough', args: ['--yes', '--environment', 'production'], code: 'confirmation.missing', exitCode: 2},
    {title: 'an unknown flag', args: ['--nonsense', '--password', 'hunter22'], code: 'usage', exitCode: 2},
    {title: 'a missing file', args: ['--yes', '--config', 'gone.yaml'], code: 'config.unreadable', exitCode: 3},
  ]
  for (const {title, args, code, exitCode} of failures) {
    it(`prints a small document for ${title}, with the same exit code as without`, async () => {
      const finished = await trial(...args)
      const {error} = documentOf(finished)
      expect(error).to.include({code, exitCode})
      expect(finished.code).to.equal(exitCode)
      expect(finished.stdout.length).to.be.below(1500)
      expect(finished.stdout + finished.stderr).not.to.include('hunter22')
      const plain = await finishDr(['trial', '--log', join(home.path, 'log'), ...args], home.path, {script: 'test/support/trial/run.ts'})
      expect(plain.code).to.equal(exitCode)
      expect(plain.stdout).to.equal('')
      expect(plain.stderr).to.include(error?.message.split('\n')[0])
    })
  }

  it('prints a document for an unknown command', async () => {
    const finished = await finishDr(['nonsense', '--json'], home.path)
    expect(documentOf(finished).error).to.include({code: 'usage.unknown-command', exitCode: 2})
    expect(finished.code).to.equal(2)
  })

  it('names the run and the journal of a failure', async () => {
    const {error} = documentOf(await trial('--yes', '--fail', 'two'))
    expect(error?.journal).to.equal(join(home.path, 'data', 'journal', `${error?.run ?? ''}.jsonl`))
    expect(await readFile(error?.journal ?? '', 'utf8')).to.include('"undone"')
  })
})
