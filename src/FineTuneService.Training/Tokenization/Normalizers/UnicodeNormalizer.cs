using System.Text;

namespace FineTuneService.Training.Tokenization.Normalizers;

/// <summary>NFC, NFD, NFKC, NFKD (UAX #15), with the alignment of each scalar.</summary>
internal sealed class UnicodeNormalizer(NormalizationForm form) : Normalizer
{
    private readonly bool _composes = form is NormalizationForm.FormC or NormalizationForm.FormKC;
    private readonly bool _isCompatibility = form is NormalizationForm.FormKC or NormalizationForm.FormKD;

    public override NormalizedString Normalize(NormalizedString text)
    {
        if (Ascii.IsValid(text.Chars))
            return text;
        var scalars = Decompose(text);
        return text.Transform(_composes ? Compose(scalars) : scalars);
    }

    private List<(int Scalar, int Change)> Decompose(NormalizedString text)
    {
        List<(int Scalar, int Change)> scalars = new(text.Length);
        for (int i = 0, width; i < text.Length; i += width)
        {
            var scalar = text.ScalarAt(i);
            width = UnicodeClasses.Width(scalar);
            if (scalar < 0x80)
            {
                scalars.Add((scalar, 0));
                continue;
            }
            var change = 0;
            foreach (var part in _isCompatibility ? Decomposition.Compatibility(scalar) : Decomposition.Canonical(scalar))
            {
                scalars.Add((part, change));
                change = 1;
                for (var at = scalars.Count - 1; at > 0 && Decomposition.SwapsWith(scalars[at - 1].Scalar, scalars[at].Scalar); at--)
                    (scalars[at - 1], scalars[at]) = (scalars[at], scalars[at - 1]);
            }
        }
        return scalars;
    }

    /// <summary>Joins a starter with what follows, unless something of the same or a higher class stands between.</summary>
    private static List<(int Scalar, int Change)> Compose(List<(int Scalar, int Change)> scalars)
    {
        List<(int Scalar, int Change)> result = new(scalars.Count);
        var starter = -1;
        foreach (var (scalar, change) in scalars)
        {
            if (starter >= 0 && !IsBlocked(result, starter, scalar) && Decomposition.Compose(result[starter].Scalar, scalar) is { } composed)
            {
                result[starter] = (composed, result[starter].Change + change - 1);
                continue;
            }
            result.Add((scalar, change));
            if (Decomposition.IsStarter(scalar))
                starter = result.Count - 1;
        }
        return result;
    }

    private static bool IsBlocked(List<(int Scalar, int Change)> result, int starter, int scalar) =>
        result.Count - 1 > starter && !Decomposition.SwapsWith(scalar, result[^1].Scalar);
}
