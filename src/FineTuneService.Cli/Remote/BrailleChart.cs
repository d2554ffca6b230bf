using System.Globalization;
using System.Text;

namespace FineTuneService.Cli.Remote;

/// <summary>Curves in Braille patterns, which have 2 × 4 dots in each character (Unicode U+2800 to U+28FF).</summary>
internal static class BrailleChart
{
    private const int AxisWidth = 10;
    private const string Train = "\u001b[36m", Validation = "\u001b[33m", Plain = "\u001b[0m";

    // A dot's bit, by its row and column in the character.
    private static readonly int[,] Bits = { { 0x01, 0x08 }, { 0x02, 0x10 }, { 0x04, 0x20 }, { 0x40, 0x80 } };

    /// <param name="columns">Width of a line, the axis included.</param>
    /// <param name="rows">Lines of the picture; one more tells the steps.</param>
    /// <param name="train">By step; drawn as a line.</param>
    /// <param name="validation">By step; drawn over it, in another colour.</param>
    /// <returns>Nothing while there is nothing to draw.</returns>
    public static IEnumerable<string> Draw(int columns, int rows, IReadOnlyList<(int Step, double Value)> train, IReadOnlyList<(int Step, double Value)> validation)
    {
        var points = train.Concat(validation).Where(point => double.IsFinite(point.Value)).ToList();
        if (points.Count == 0)
            yield break;
        var (first, last) = (points.Min(point => point.Step), points.Max(point => point.Step));
        var (low, high) = (points.Min(point => point.Value), points.Max(point => point.Value));
        var (width, height) = ((columns - AxisWidth) * 2, rows * 4);
        var (dots, colours) = (new int[rows, width / 2], new string?[rows, width / 2]);

        (int X, int Y) At((int Step, double Value) point) =>
            (last == first ? 0 : (int)((long)(point.Step - first) * (width - 1) / (last - first)), high == low ? height / 2 : (int)Math.Round((high - point.Value) / (high - low) * (height - 1)));
        foreach (var (curve, colour) in new[] { (train, Train), (validation, Validation) })
            foreach (var (x, y) in Line([.. curve.Where(point => double.IsFinite(point.Value)).Select(At)]))
            {
                dots[y / 4, x / 2] |= Bits[y % 4, x % 2];
                colours[y / 4, x / 2] = colour;
            }

        for (var row = 0; row < rows; row++)
            yield return Axis(row == 0 ? high : row == rows - 1 ? low : null) + Row(row, dots, colours);
        yield return string.Create(CultureInfo.InvariantCulture, $"{"",AxisWidth}step {first} … {last}   {Train}loss{Plain} {(validation.Count > 0 ? $"{Validation}eval_loss{Plain}" : "")}").TrimEnd();
    }

    /// <summary>Every dot from each point to the next.</summary>
    private static IEnumerable<(int X, int Y)> Line(IReadOnlyList<(int X, int Y)> points)
    {
        if (points.Count == 1)
            yield return points[0];
        foreach (var (from, to) in points.Zip(points.Skip(1)))
        {
            var length = Math.Max(1, Math.Max(Math.Abs(to.X - from.X), Math.Abs(to.Y - from.Y)));
            for (var i = 0; i <= length; i++)
                yield return (from.X + (to.X - from.X) * i / length, from.Y + (to.Y - from.Y) * i / length);
        }
    }

    private static string Axis(double? value) => string.Create(CultureInfo.InvariantCulture, $"{value,AxisWidth - 2:G3} ┤");

    private static string Row(int row, int[,] dots, string?[,] colours)
    {
        var (text, colour) = (new StringBuilder(), (string?)null);
        for (var column = 0; column < dots.GetLength(1); column++)
        {
            var next = colours[row, column];
            if (next is not null && next != colour)
                text.Append(colour = next);
            text.Append((char)(0x2800 + dots[row, column]));
        }
        return text.Append(colour is null ? "" : Plain).ToString();
    }
}
