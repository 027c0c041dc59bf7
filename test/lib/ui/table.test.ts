import {expect} from 'chai'
import type {Finding} from '../../../src/lib/checks/finding.ts'
import {planOf} from '../../../src/lib/runbook/plan.ts'
import {findingLines} from '../../../src/lib/ui/findings.ts'
import {planLines} from '../../../src/lib/ui/plan.ts'
import {tableLines, type Column} from '../../../src/lib/ui/table.ts'
import {textWidth} from '../../../src/lib/ui/text.ts'
import {outTheme} from '../../../src/lib/ui/theme.ts'
import {logStep, procedureOf} from '../../support/stage.ts'

interface Row {
  name: string
  size: string
  where: string
}

describe('table', () => {
  const rows: Row[] = [
    {name: '20261122T020000Z-7f3a', size: '1.2 GB', where: 's3://a-bucket-with-a-long-name/dr/production'},
    {name: 'b', size: '900 MB', where: '/var/backups'},
  ]
  const columns: Column<Row>[] = [
    {header: 'LABEL', value: ({name}) => name},
    {header: 'SIZE', value: ({size}) => size, align: 'right', priority: 1},
    {header: 'WHERE', value: ({where}) => where, min: 10, priority: 2},
  ]
  const at = (width: number | undefined) => [...tableLines(rows, columns, {width})]

  it('aligns its columns, without blanks at the end', () => {
    expect(at(undefined)).to.deep.equal([
      'LABEL                    SIZE  WHERE',
      '20261122T020000Z-7f3a  1.2 GB  s3://a-bucket-with-a-long-name/dr/production',
      'b                      900 MB  /var/backups',
    ])
  })

  it('cuts, then drops, what matters least on a narrow terminal', () => {
    expect(at(60)[1]).to.equal('20261122T020000Z-7f3a  1.2 GB  s3://a-bucket-with-a-long-na…')
    expect(at(45)[1]).to.equal('20261122T020000Z-7f3a  1.2 GB  s3://a-bucket…')
    expect(at(35)[0]).to.equal('LABEL                    SIZE')
    expect(at(25)[1]).to.equal('20261122T020000Z-7f3a')
  })

  it('gives a column that was cut the room that another one leaves', () => {
    const both: Column<Row>[] = [
      {header: 'LABEL', value: ({name}) => name, min: 5, priority: 1},
      {header: 'WHERE', value: ({where}) => where, min: 20, priority: 2},
    ]
    expect([...tableLines(rows, both, {width: 25})][1]).to.equal('20261122T020000Z-7f3a')
    expect([...tableLines(rows, both, {width: 35})][1]).to.equal('20261122T020…  s3://a-bucket-with-…')
  })

  it('never is wider than the terminal while something may yield', () => {
    for (let width = 21; width < 90; width += 1) for (const line of at(width)) expect(textWidth(line)).to.be.at.most(width)
  })

  it('colours after it has measured', () => {
    const styled: Column<Row>[] = [{header: 'A', value: ({name}) => name, style: (text) => `<${text}>`}, {header: 'B', value: ({size}) => size}]
    expect([...tableLines(rows, styled, {width: 80})][2]).to.equal('<b                    >  900 MB')
  })

  it('keeps a row on one line whatever its values hold', () => {
    const lines = [...tableLines([{name: 'a\nb\u001B[2J', size: '1', where: ''}], columns, {width: undefined})]
    expect(lines).to.have.length(2)
    expect(lines[1]).to.match(/^a b/).and.not.include('\u001B')
  })

  it('is nothing without rows', () => {
    expect([...tableLines([], columns, {width: 80})]).to.deep.equal([])
  })
})

describe('findings', () => {
  const finding = (severity: Finding['severity'], subject = ''): Finding => ({code: `x.${severity}`, severity, subject, message: `about ${severity}`})
  const lines = (all: boolean, ...findings: Finding[]) => [...findingLines(findings, {theme: outTheme, all})]

  it('stand worst first, with a line of totals', () => {
    expect(lines(false, finding('ok'), finding('info'), {...finding('error', 'leads'), hint: 'Run this'}, finding('warning'), finding('ok'))).to.deep.equal([
      'ERROR  leads: about error [x.error]',
      '       Hint: Run this',
      'WARN   about warning [x.warning]',
      'INFO   about info [x.info]',
      '5 findings: 1 error, 1 warning, 1 for information, 2 as they should be',
    ])
  })

  it('show the good ones when all are wanted', () => {
    expect(lines(true, finding('ok', 'leads'))).to.deep.equal(['OK     leads: about ok [x.ok]', '1 finding: 1 as they should be'])
  })

  it('say that nothing was looked at', () => {
    expect(lines(false)).to.deep.equal(['0 findings: nothing was looked at'])
  })
})

describe('plan', () => {
  it('is numbered, with the commands quoted for a shell', () => {
    const procedure = procedureOf([logStep('a', {effect: 'read', byHand: () => [{argv: ['psql', '-c', 'select 1'], note: 'looks'}]})], [logStep('b', {effect: 'destroy', skip: () => 'not there'})])
    const [first, second] = procedure.phases
    if (!first || !second) throw new Error('two phases')
    const plan = planOf({...procedure, phases: [first, {...second, gate: {question: () => 'Drop crm?', mustType: () => 'crm'}}]}, {log: []})
    expect([...planLines(plan)]).to.deep.equal([
      'Test',
      '',
      '1. Phase 1',
      '   1.1 Title of a [read]',
      '       # looks',
      "       $ psql -c 'select 1'",
      '',
      '2. Phase 2',
      '   Drop crm? (asks for crm)',
      '   2.1 Title of b [destroy] skipped: not there',
      '       $ echo b',
    ])
  })
})
