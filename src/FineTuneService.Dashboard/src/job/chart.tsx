import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { number } from '../format';
import { smooth, type Series } from './series';

export interface Line {
  name: string;
  series: Series;
  /** Drawn with a point at each value: of few values. */
  points?: boolean;
  /** Which colour; in the order of the lines unless given. */
  colour?: number;
}

interface Props {
  title: string;
  lines: readonly Line[];
  /** Counts what was added: the series themselves stay the same objects. */
  version: number;
  log?: boolean;
  smoothing?: number;
}

const colours = ['--line-1', '--line-2', '--line-3', '--line-4', '--line-5', '--line-6'];
const style = (name: string) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** Drag to zoom in, double-click to see all. */
export function Chart({ title, lines, version, log = false, smoothing = 0 }: Props) {
  const holder = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const names = lines.map(line => line.name).join();

  useEffect(() => {
    const element = holder.current!;
    const colour = (index: number) => style(colours[(lines[index]!.colour ?? index) % colours.length]!);
    const axis = { stroke: style('--quiet'), grid: { stroke: style('--grid'), width: 1 }, ticks: { stroke: style('--grid'), width: 1 } };
    const made = new uPlot(
      {
        width: element.clientWidth,
        height: 240,
        scales: { x: { time: false }, y: { distr: log ? 3 : 1 } },
        axes: [{ ...axis }, { ...axis, size: 64, values: (_, ticks) => ticks.map(tick => (tick === null ? '' : number(tick))) }],
        series: [
          { label: 'step' },
          ...lines.flatMap((line, index) => [
            { label: `${line.name} (raw)`, class: 'raw', stroke: `${colour(index)}40`, width: 1, points: { show: false }, spanGaps: true, show: smoothing > 0 && !line.points },
            { label: line.name, stroke: colour(index), width: 1.8, points: { show: line.points ?? false, size: 6 }, spanGaps: true, value: (_: uPlot, value: number | null) => number(value) },
          ]),
        ],
        cursor: { sync: { key: 'steps' } },
        legend: { live: true },
      },
      table(lines, log, smoothing),
      element,
    );
    plot.current = made;
    const resized = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height: 240 }));
    resized.observe(element);
    const themed = matchMedia('(prefers-color-scheme: dark)');
    const repaint = () => made.redraw();
    themed.addEventListener('change', repaint);
    return () => {
      resized.disconnect();
      themed.removeEventListener('change', repaint);
      made.destroy();
      plot.current = null;
    };
  }, [names, log, smoothing > 0]);

  useEffect(() => {
    const { current } = plot;
    if (!current) return;
    // A reader who has zoomed in keeps the view.
    const { min, max } = current.scales['x']!;
    const all = current.data[0];
    const zoomed = all.length > 0 && min != null && max != null && (min > all[0]! || max < all.at(-1)!);
    current.setData(table(lines, log, smoothing), !zoomed);
    if (zoomed) current.redraw();
  }, [version, smoothing]);

  return (
    <figure class="chart" aria-label={`${title}: ${lines.map(said).join('; ')}`}>
      <figcaption>{title}</figcaption>
      <div ref={holder} />
    </figure>
  );
}

const said = ({ name, series }: Line) => `${name} ${number(series.values[0])} at step ${series.steps[0]}, ${number(series.values.at(-1))} at step ${series.steps.at(-1)}`;

/** All lines over the union of their steps; copies, since the series grow while uPlot compares with what it has drawn. */
function table(lines: readonly Line[], log: boolean, smoothing: number): uPlot.AlignedData {
  const steps = lines.length === 1 ? [...lines[0]!.series.steps] : [...new Set(lines.flatMap(line => line.series.steps))].sort((a, b) => a - b);
  const columns = lines.flatMap(({ series, points }) => {
    const drawn = log ? series.values.map(value => (value !== null && value > 0 ? value : null)) : series.values;
    const smoothed = points ? drawn : smooth(drawn, smoothing);
    const place = (values: readonly (number | null)[]) => {
      if (lines.length === 1) return [...values];
      const at = new Map(series.steps.map((step, index) => [step, values[index]!]));
      return steps.map(step => at.get(step) ?? null);
    };
    return [place(drawn), place(smoothed)];
  });
  return [steps, ...columns];
}
