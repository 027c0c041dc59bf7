import {expect} from 'chai'
import {globSync} from 'node:fs'
import {fileURLToPath} from 'node:url'
import {dr} from '../../support/dr.ts'

const folder = fileURLToPath(new URL('../../../src/commands', import.meta.url))
const commands = globSync('**/*.ts', {cwd: folder}).map((file) => file.replace(/(\/?index)?\.ts$/, '').split('/'))

describe('the help', () => {
  it('is there for every command', () => {
    expect(commands.length).to.be.above(2)
  })

  for (const command of commands) {
    it(`of ${command.join(' ')} has examples first and exit codes last`, async () => {
      const {stdout, exitCode} = await dr(...command, '--help')
      const heads = stdout.match(/^[A-Z][A-Z ]+$/gm) ?? []
      expect(exitCode).to.equal(0)
      expect(heads[0]).to.equal('EXAMPLES')
      expect(heads).to.include.members(['USAGE', 'GLOBAL FLAGS', 'EXIT CODES'])
      expect(stdout).to.match(/^ {2}0 +done$/m).and.match(/^ {2}130 +interrupted$/m)
    })
  }
})
