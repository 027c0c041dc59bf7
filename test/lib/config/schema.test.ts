import {expect} from 'chai'
import {durationMs} from '../../../src/lib/config/duration.ts'
import {shownValue} from '../../../src/lib/config/present.ts'
import {closest} from '../../../src/lib/config/problem.ts'
import {fileJsonSchema, isSecret, settingPaths, variablesOf} from '../../../src/lib/config/schema.ts'

type JsonSchema = {properties?: Record<string, JsonSchema>; additionalProperties?: boolean; description?: string}

describe('settings', () => {
  it('stand in the JSON Schema, each with a description, and nothing else is allowed there', () => {
    const schema = fileJsonSchema() as JsonSchema
    for (const path of settingPaths) {
      const found = path.split('.').reduce<JsonSchema | undefined>((part, key) => part?.properties?.[key], schema)
      expect(found?.description, path).to.be.a('string')
    }
    expect(schema.additionalProperties).to.equal(false)
    expect(schema.properties?.backup?.additionalProperties).to.equal(false)
    expect(schema.properties?.environments?.properties).to.have.keys('production', 'staging', 'development')
    expect(schema.properties?.environments?.properties?.staging?.properties).not.to.have.property('environment')
  })

  it('are each set by one variable of their own', () => {
    expect(variablesOf('backup.blockedLimit')).to.deep.equal(['DR_BACKUP_BLOCKED_LIMIT'])
    expect(variablesOf('database.url')).to.deep.equal(['DR_DATABASE_URL', 'DATABASE_URL'])
    const names = settingPaths.flatMap((path) => variablesOf(path))
    // The AWS SDK's own variables are those of both services.
    const shared = ['AWS_REGION', 'AWS_DEFAULT_REGION', 'AWS_PROFILE', 'AWS_ENDPOINT_URL']
    const own = names.filter((name) => !shared.includes(name))
    expect(new Set(own).size).to.equal(own.length)
    expect(names.length).to.equal(own.length + 2 * shared.length)
  })

  it('know what is secret', () => {
    expect(isSecret('database.url')).to.equal(true)
    expect(isSecret('s3.bucket')).to.equal(false)
    expect(isSecret('nonsense')).to.equal(false)
  })

  it('are shown without user and password', () => {
    expect(shownValue('database.url', 'postgres://app:hunter22@db:5432/crm?sslmode=require')).to.equal('postgres://***@db:5432/crm?sslmode=require')
    expect(shownValue('database.url', 'postgres://app:no host')).to.equal('***')
    expect(shownValue('s3.endpoint', 'https://key:hunter22@s3.local')).to.equal('https://***@s3.local')
  })
})

describe('durationMs', () => {
  it('reads each unit', () => {
    expect(['500ms', '2s', '1.5m', '1h', '7d'].map(durationMs)).to.deep.equal([500, 2000, 90_000, 3_600_000, 604_800_000])
  })

  it('guesses nothing', () => {
    for (const text of ['5', 'h', '1 h', '-1h', '1w', '']) expect(() => durationMs(text), text).to.throw(RangeError)
  })
})

describe('closest', () => {
  it('finds a typing error, and only that', () => {
    expect(closest('retension', ['restore', 'retention'])).to.equal('retention')
    expect(closest('DIGEST', ['jobs', 'digest'])).to.equal('digest')
    expect(closest('colour', ['jobs', 'digest'])).to.equal(undefined)
  })
})
