import {expect} from 'chai'
import type {DrError} from '../../../src/lib/errors.ts'
import {parseManifest, serializeManifest, type Manifest} from '../../../src/lib/repository/manifest.ts'
import {sampleManifest} from '../../support/manifest.ts'

function errorOf(text: string): DrError {
  try {
    parseManifest(text, 's3://b/manifest.json')
  } catch (error) {
    return error as DrError
  }
  throw new Error('It was taken.')
}

describe('manifest', () => {
  it('comes back as it was written', () => {
    const text = serializeManifest(sampleManifest())
    expect(parseManifest(text)).to.deep.equal(sampleManifest())
    expect(text.endsWith('}\n')).to.equal(true)
  })

  it('keeps keys that it does not know, at every depth', () => {
    const manifest = sampleManifest({tables: [{...sampleManifest().tables[0], later: 1} as unknown as Manifest['tables'][number]], future: {a: 1}})
    const read = parseManifest(serializeManifest(manifest))
    expect(read['future']).to.deep.equal({a: 1})
    expect(read.tables[0]).to.have.property('later', 1)
  })

  it('says that a newer dr is needed', () => {
    const error = errorOf(JSON.stringify({schemaVersion: 2, label: 1}))
    expect(error.code).to.equal('manifest.newer')
    expect(error.exitCode).to.equal(4)
    expect(error.message).to.equal('s3://b/manifest.json has schema version 2; this dr reads up to 1.')
    expect(error.hints.join()).to.contain('recover.sh')
  })

  it('says what is wrong, and where', () => {
    const whole = serializeManifest(sampleManifest())
    for (const [text, message] of [
      [whole.slice(0, 300), /is not JSON/], ['null', /is not a manifest/], ['[]', /is not a manifest/], ['{}', /schemaVersion/],
      [whole.replace('a'.repeat(64), 'a'.repeat(63)), /members\.0\.sha256/], [whole.replace('"rows": 12', '"rows": -1'), /tables\.0\.rows/], [whole.replace('"good"', '"fine"'), /status/],
    ] as const) {
      const error = errorOf(text)
      expect(error.code).to.equal('manifest.invalid')
      expect(error.exitCode).to.equal(4)
      expect(error.message).to.match(message)
    }
  })

  it('is not written when it is not whole', () => {
    expect(() => serializeManifest({...sampleManifest(), label: undefined} as unknown as Manifest)).to.throw()
  })
})
