import {expect} from 'chai'
import {readFile} from 'node:fs/promises'
import {join} from 'node:path'
import {stripVTControlCharacters} from 'node:util'
import {textWidth} from '../../src/lib/ui/text.ts'
import {temporaryFolder} from '../support/temporary.ts'
import {until} from '../support/until.ts'
import {trialOnTerminal, type Terminal} from '../support/terminal.ts'

const SHOW = '\u001B[?25h'
const HIDE = '\u001B[?25l'

describe('on a terminal', () => {
  const home = temporaryFolder()
  let terminal: Terminal | undefined

  afterEach(async () => {
    terminal?.child.kill('SIGKILL')
    await terminal?.ended
  })

  const start = (columns: number, ...args: string[]) => (terminal = trialOnTerminal(['--log', join(home.path, 'log'), ...args], home.path, columns))
  const cursorIsShown = ({drawn}: Terminal) => drawn.lastIndexOf(SHOW) > drawn.lastIndexOf(HIDE)
  const log = async () => (await readFile(join(home.path, 'log'), 'utf8')).trim().split('\n')

  it('draws a live list that fits 60 columns, with bars and what is in flight', async () => {
    const {ended, drawn} = start(60, '--yes', '--rounds', '4')
    expect(await ended).to.equal(0)
    const text = stripVTControlCharacters(terminal?.drawn ?? drawn)
    expect(text).to.match(/█+░+ {2}\d+ %/).and.include('leads').and.include('This stays on the screen.').and.include('a result')
    for (const line of text.split(/[\r\n]+/)) expect(textWidth(line), line).to.be.at.most(60)
  })

  it('asks for the name where the environment is protected, and goes on when it is typed', async () => {
    const run = start(80, '--environment', 'production')
    await run.see(/Type crm to go on/)
    expect(await log()).to.deep.equal(['one begins', 'one ends', 'two begins', 'two ends'])
    run.type('crm\r')
    expect(await run.ended).to.equal(0)
    expect((await log()).at(-1)).to.equal('three ends')
    expect(cursorIsShown(run)).to.equal(true)
  })

  it('stops with 8 when something else is typed, and leaves what is done', async () => {
    const run = start(80, '--environment', 'production')
    await run.see(/Type crm to go on/)
    run.type('cr\r')
    expect(await run.ended).to.equal(8)
    expect((await log()).at(-1)).to.equal('two ends')
    expect(run.drawn).to.include('dr resume ')
  })

  it('undoes at Ctrl-C at the question', async () => {
    const run = start(80)
    await run.see(/Go on\?/)
    run.type('\u0003')
    expect(await run.ended).to.equal(130)
    expect((await log()).slice(-2)).to.deep.equal(['undo two', 'undo one'])
    expect(cursorIsShown(run)).to.equal(true)
  })

  it('undoes at Ctrl-C in a step, says so, and shows the cursor', async () => {
    const run = start(80, '--yes', '--hold', 'two')
    await until(async () => (await log().catch((): string[] => [])).includes('two begins'))
    run.type('\u0003')
    expect(await run.ended).to.equal(130)
    expect(stripVTControlCharacters(run.drawn)).to.include('Ctrl-C again').and.include('✔ Undo: Step one').and.include('Error: Interrupted.')
    expect(cursorIsShown(run)).to.equal(true)
  })

  it('shows the cursor when a second Ctrl-C leaves at once', async () => {
    const run = start(80, '--yes', '--hold', 'two', '--stick', 'two')
    await until(async () => (await log().catch((): string[] => [])).includes('two begins'))
    run.type('\u0003')
    await run.see(/Undo: Step two/)
    const pressing = setInterval(() => { run.type('\u0003') }, 50)
    expect(await run.ended).to.equal(130)
    clearInterval(pressing)
    expect(cursorIsShown(run)).to.equal(true)
  })

  it('draws in colours, but not with NO_COLOR or --no-color', async () => {
    const coloured = async (env: NodeJS.ProcessEnv, ...args: string[]) => {
      const run = trialOnTerminal(['--yes', '--log', join(home.path, 'log'), ...args], home.path, 80, env)
      expect(await run.ended).to.equal(0)
      return /\u001B\[[\d;]*m/.test(run.drawn)
    }
    expect(await coloured({})).to.equal(true)
    expect(await coloured({NO_COLOR: '1'})).to.equal(false)
    expect(await coloured({FORCE_COLOR: '1'}, '--no-color')).to.equal(false)
  })

  for (const flag of ['--no-input', '--json']) {
    it(`does not ask with ${flag}`, async () => {
      expect(await start(80, flag).ended).to.equal(2)
    })
  }
})
