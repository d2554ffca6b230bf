using System.Globalization;
using System.Text;

namespace FineTuneService.Api.Exports;

/// <summary>A curve: its name, and its points by step. What is not finite makes a gap.</summary>
internal sealed record Curve(string Name, IReadOnlyList<(int Step, double Value)> Points);

/// <summary>Curves over steps as SVG that stands in a page; colours are the page's, by the classes <c>curve0</c>, <c>curve1</c>, ….</summary>
internal static class SvgChart
{
    private const double Width = 640, Height = 220, Left = 64, Right = 12, Top = 12, Bottom = 28;

    public static string Draw(IReadOnlyList<Curve> curves)
    {
        var points = curves.SelectMany(curve => curve.Points).Where(point => double.IsFinite(point.Value)).ToList();
        if (points.Count == 0)
            return "";
        var (first, last) = (points.Min(point => point.Step), points.Max(point => point.Step));
        var (low, high) = (points.Min(point => point.Value), points.Max(point => point.Value));
        if (high == low)
            (low, high) = (low - Math.Max(Math.Abs(low), 1) / 2, high + Math.Max(Math.Abs(high), 1) / 2);
        double X(double step) => Left + (Width - Left - Right) * (last == first ? 0.5 : (step - first) / (last - first));
        double Y(double value) => Top + (Height - Top - Bottom) * (high - value) / (high - low);

        var svg = new StringBuilder();
        svg.Append(CultureInfo.InvariantCulture, $"""<svg viewBox="0 0 {Width} {Height}" role="img">""");
        for (var line = 0; line <= 4; line++)
        {
            var value = low + (high - low) * line / 4;
            svg.Append(CultureInfo.InvariantCulture, $"""<line class="grid" x1="{Left}" x2="{Width - Right}" y1="{Y(value):0.#}" y2="{Y(value):0.#}"/><text x="{Left - 6}" y="{Y(value) + 4:0.#}" text-anchor="end">{Short(value)}</text>""");
        }
        foreach (var step in new[] { first, last }.Distinct())
            svg.Append(CultureInfo.InvariantCulture, $"""<text x="{X(step):0.#}" y="{Height - 8}" text-anchor="{(step == first ? "start" : "end")}">step {step}</text>""");
        foreach (var (number, curve) in curves.Index())
            svg.Append(Path(curve, number, X, Y));
        return svg.Append("</svg>").ToString();
    }

    private static string Path(Curve curve, int number, Func<double, double> x, Func<double, double> y)
    {
        if (curve.Points.Count(point => double.IsFinite(point.Value)) == 1)
        {
            var (step, value) = curve.Points.First(point => double.IsFinite(point.Value));
            return string.Create(CultureInfo.InvariantCulture, $"""<circle class="dot{number}" cx="{x(step):0.#}" cy="{y(value):0.#}" r="3"/>""");
        }
        var path = new StringBuilder();
        var pen = 'M';
        foreach (var (step, value) in curve.Points)
        {
            if (double.IsFinite(value))
                path.Append(CultureInfo.InvariantCulture, $"{pen}{x(step):0.#} {y(value):0.#}");
            pen = double.IsFinite(value) ? 'L' : 'M';
        }
        return $"""<path class="curve{number}" d="{path}"/>""";
    }

    private static string Short(double value) => value.ToString("G3", CultureInfo.InvariantCulture);
}
