import {expect} from 'chai'
import {textWidth} from '../../../src/lib/ui/text.ts'
import {wrapped} from '../../../src/lib/ui/wrap.ts'

describe('wrapped', () => {
  const text = 'ERROR  leads: is damaged: its SHA-256 is 0123456789abcdef, the manifest says something else'

  it('breaks between words, indents what follows, and loses nothing', () => {
    for (const width of [20, 40, 60]) {
      const lines = [...wrapped(text, width, '       ')]
      expect(lines.slice(1).every((line) => line.startsWith('       '))).to.equal(true)
      expect(lines.filter((line) => line.trim().includes(' ')).every((line) => textWidth(line) <= width), lines.join('\n')).to.equal(true)
      expect(lines.map((line) => line.trim()).join(' ')).to.equal(text)
    }
  })

  it('leaves alone what fits, and everything when there is no terminal', () => {
    expect([...wrapped(text, undefined)]).to.deep.equal([text])
    expect([...wrapped(text, textWidth(text))]).to.deep.equal([text])
    expect([...wrapped('\u001B[31mred and long\u001B[39m', 12)]).to.have.length(1)
    expect([...wrapped('', 10)]).to.deep.equal([''])
  })
})
