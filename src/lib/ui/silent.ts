import type {Renderer, StepView} from '../runbook/stage.ts'

const row: StepView = {start() {}, progress() {}, notice() {}, skip() {}, done() {}, fail() {}}

/** Shows nothing: for --json. */
export const silent: Renderer = {phase: () => ({step: () => row, notice() {}, close: () => Promise.resolve()})}
