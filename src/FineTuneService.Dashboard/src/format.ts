const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });

export function number(value: number | null | undefined): string {
  if (value === null || value === undefined) return '–';
  if (Number.isInteger(value)) return whole.format(value);
  const size = Math.abs(value);
  return size !== 0 && (size < 1e-3 || size >= 1e6) ? value.toExponential(2).replace(/\.?0+e/, 'e') : value.toPrecision(size >= 1000 ? 5 : 4).replace(/(\.\d*?)0+$/, '$1').replace(/\.$/, '');
}

export const percent = (share: number) => `${(100 * share).toFixed(share >= 0.1 ? 1 : 2)} %`;

export function bytes(count: number | null | undefined): string {
  if (count === null || count === undefined) return '–';
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  const unit = Math.min(units.length - 1, count < 1 ? 0 : Math.floor(Math.log2(count) / 10));
  return `${(count / 1024 ** unit).toFixed(unit && count / 1024 ** unit < 10 ? 1 : 0)} ${units[unit]}`;
}

export function duration(seconds: number | null | undefined): string {
  if (seconds === null || seconds === undefined) return '–';
  if (seconds < 60) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 60 ? `${minutes} min` : minutes < 2880 ? `${Math.floor(minutes / 60)} h ${minutes % 60} min` : `${Math.round(minutes / 1440)} days`;
}

export function ago(time: string | null | undefined): string {
  return time ? `${duration(Math.max(0, (Date.now() - Date.parse(time)) / 1000))} ago` : '–';
}

export const clock = (time: string) => new Date(time).toLocaleTimeString('en-GB');

/** `eval_f1_macro` → `f1 macro`. */
export const title = (metric: string) => metric.replace(/^(eval|test|probe)_/, '').replaceAll('_', ' ');
