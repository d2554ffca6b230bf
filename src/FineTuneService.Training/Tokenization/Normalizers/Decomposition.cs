using System.Collections.Concurrent;
using System.Text;

namespace FineTuneService.Training.Tokenization.Normalizers;

/// <summary>
/// The Unicode facts behind normalization, asked of the platform by normalizing one or two scalars at a time and remembered:
/// whole strings would lose the alignment, and .NET tells neither decompositions nor combining classes.
/// </summary>
internal static class Decomposition
{
    // The class 240, the highest, is this scalar's alone: whatever is reordered after it has a class above 0.
    private const int HighestClass = 0x345;

    private static readonly ConcurrentDictionary<int, int[]> Canonicals = new();
    private static readonly ConcurrentDictionary<int, int[]> Compatibilities = new();
    private static readonly ConcurrentDictionary<(int, int), bool> Orders = new();
    private static readonly ConcurrentDictionary<(int, int), int?> Compositions = new();

    public static int[] Canonical(int scalar) => Canonicals.GetOrAdd(scalar, static one => Scalars(one, NormalizationForm.FormD));

    public static int[] Compatibility(int scalar) => Compatibilities.GetOrAdd(scalar, static one => Scalars(one, NormalizationForm.FormKD));

    /// <summary>Whether the combining class is 0.</summary>
    public static bool IsStarter(int scalar) => scalar < 0x300 || (scalar != HighestClass && !SwapsWith(HighestClass, scalar));

    /// <summary>Whether canonical order puts <paramref name="second"/> first: its class is lower, and not 0.</summary>
    public static bool SwapsWith(int first, int second) =>
        first >= 0x300 && second >= 0x300
        && !UnicodeVersions.AnyMark.Contains(first) && !UnicodeVersions.AnyMark.Contains(second)
        && Orders.GetOrAdd((first, second), static pair => Text(pair).Normalize(NormalizationForm.FormD) != Text(pair));

    /// <summary>The one scalar that the two compose to, or null.</summary>
    public static int? Compose(int first, int second) => Compositions.GetOrAdd((first, second), static pair =>
    {
        var composed = Text(pair).Normalize(NormalizationForm.FormC);
        return composed.EnumerateRunes().Take(2).ToArray() is [var only] && !UnicodeVersions.Undecomposed.Contains(only.Value) ? only.Value : null;
    });

    private static int[] Scalars(int scalar, NormalizationForm form) =>
        IsNoncharacter(scalar) || UnicodeVersions.Undecomposed.Contains(scalar) ? [scalar] : [.. char.ConvertFromUtf32(scalar).Normalize(form).EnumerateRunes().Select(rune => rune.Value)];

    private static string Text((int First, int Second) pair) =>
        IsNoncharacter(pair.First) || IsNoncharacter(pair.Second) ? "" : char.ConvertFromUtf32(pair.First) + char.ConvertFromUtf32(pair.Second);

    // string.Normalize refuses some of these.
    private static bool IsNoncharacter(int scalar) => (scalar & 0xFFFE) == 0xFFFE || scalar is >= 0xFDD0 and <= 0xFDEF;
}
