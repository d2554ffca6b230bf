using System.Collections.Frozen;

namespace FineTuneService.Training.DataQuality;

/// <summary>Guesses a text's language: by its script, and where that is Latin by its most frequent words, those that grammar cannot do without.</summary>
internal static class TextLanguage
{
    public const byte Unknown = 0;

    private const int ReadCharacters = 2_000;
    private const int FewestLetters = 12;

    /// <summary>That many such words of a language, and as many more than of any other, decide.</summary>
    private const int FewestHits = 3, Lead = 2;

    private static readonly (string Name, string Words)[] Latin =
    [
        ("English", "the a an of and to in is that it for was on are as with his they at be this have from or had by not but what all were when your can there an which their if do will how then them would so these her has him been who my me its you she he i we am does did"),
        ("German", "der die und das nicht ist ich sie ein eine es mit den dem von zu auf für im wie wir auch sich aber wenn noch nur oder war sind hat haben kann mich mir mein wird bei aus nach einen einer warum als meine"),
        ("French", "le la les des est et une un pas que qui dans pour ce il elle je ne sur avec vous nous plus au sont mais cette du mon ma par comme tout être fait ai ont mes comment pourquoi"),
        ("Spanish", "el los las de que y es una un por con para no se lo su del al como más pero está mi muy ser todo esta son fue hay cuando yo le sin sobre este qué cómo puedo tengo"),
        ("Italian", "il di che è la per un una non sono con mi ha le si da del della come anche più ma gli questo nel ho al perché se cosa lo ti mio mia alla posso"),
        ("Portuguese", "o de que não uma um é para com os as por do da em se mais como mas eu foi ao ele das seu sua ou quando muito já está também meu minha você isso"),
        ("Dutch", "de het een en van ik te dat is niet die in op aan met voor zijn er maar om je ook wat naar dan bij nog uit heb mijn kan geen wel hoe waarom deze"),
        ("Swedish", "och att det som en är på jag inte av för med till den har om ett men du så var kan från min hur när vi ska mig eller"),
        ("Danish", "og at det er en jeg ikke til af på med for den har de som der kan et min hvad hvordan fra om var så vi mig eller skal"),
        ("Polish", "nie się na jest to że w z do i co jak ale po tak czy mam ja od mi o za tego ten jestem dla moje dlaczego może"),
        ("Czech", "se na je že to v jsem jak ale si tak co pro mi s do když by mám není jsou jako za byl proč může"),
        ("Turkish", "bir ve bu için ne çok da de ben mi var ama daha gibi değil olarak kadar sonra nasıl neden şey benim bana olan"),
        ("Finnish", "ja on ei se että en oli hän mutta ovat kun niin mitä minun miten tämä voi ole kuin olen sen joka miksi"),
        ("Romanian", "și nu să de la o un este în pe cu care am mai din ce că pentru sunt fi dar ca mi cum se al lui"),
        ("Indonesian", "yang dan di itu ini tidak dengan untuk dari ke saya akan ada bisa kami anda apa dalam adalah juga sudah bagaimana mengapa pada"),
        ("Vietnamese", "là và của không có tôi một được cho những này đã với trong người các bạn như thế nào để khi đến"),
    ];

    private static readonly string[] Scripts = ["Cyrillic", "Greek", "Hebrew", "Arabic", "Devanagari", "Thai", "Korean", "Japanese", "Chinese", "another script"];

    private static readonly FrozenDictionary<string, byte[]> Languages = Latin
        .SelectMany((language, at) => language.Words.Split(' ').Select(word => (word, Id: (byte)(at + 1))))
        .GroupBy(entry => entry.word, entry => entry.Id)
        .ToFrozenDictionary(group => group.Key, group => group.Distinct().ToArray(), StringComparer.OrdinalIgnoreCase);

    /// <summary>How many ids there are, <see cref="Unknown"/> with them.</summary>
    public static int Count => 1 + Latin.Length + Scripts.Length;

    public static string Name(byte language) => language == Unknown ? "unknown" : language <= Latin.Length ? Latin[language - 1].Name : Scripts[language - 1 - Latin.Length];

    /// <returns><see cref="Unknown"/> where a text says too little.</returns>
    public static byte Of(string text)
    {
        var read = text.AsSpan(0, Math.Min(text.Length, ReadCharacters));
        Span<int> scripts = stackalloc int[Scripts.Length];
        Span<int> hits = stackalloc int[Latin.Length + 1];
        var (latin, other, begun) = (0, 0, -1);
        var lookup = Languages.GetAlternateLookup<ReadOnlySpan<char>>();
        for (var at = 0; at <= read.Length; at++)
        {
            if (at < read.Length && char.IsLetter(read[at]))
            {
                begun = begun < 0 ? at : begun;
                if (read[at] < 0x250 || read[at] is >= '\u1E00' and < '\u1F00')
                    latin++;
                else
                {
                    scripts[Script(read[at])]++;
                    other++;
                }
            }
            else if (begun >= 0 && !(at + 1 < read.Length && read[at] is '\'' or '’'))
            {
                if (lookup.TryGetValue(read[begun..at], out var languages))
                    foreach (var language in languages)
                        hits[language]++;
                begun = -1;
            }
        }
        if (latin + other * 2 < FewestLetters)
            return Unknown;
        if (other > latin)
            return (byte)(1 + Latin.Length + (scripts[7] * 10 > other ? 7 : Largest(scripts).At));
        var (best, most) = Largest(hits);
        hits[best] = 0;
        return most >= FewestHits && most - Largest(hits).Value >= Lead ? (byte)best : Unknown;
    }

    private static (int At, int Value) Largest(ReadOnlySpan<int> counts)
    {
        var best = 0;
        for (var at = 1; at < counts.Length; at++)
            if (counts[at] > counts[best])
                best = at;
        return (best, counts[best]);
    }

    /// <summary>Unicode's blocks; Japanese is what has kana among its ideographs.</summary>
    private static int Script(char letter) => letter switch
    {
        >= '\u0400' and < '\u0530' => 0,
        >= '\u0370' and < '\u0400' or >= '\u1F00' and < '\u2000' => 1,
        >= '\u0590' and < '\u0600' => 2,
        >= '\u0600' and < '\u0780' or >= '\uFB50' and < '\uFE00' or >= '\uFE70' and < '\uFF00' => 3,
        >= '\u0900' and < '\u0980' => 4,
        >= '\u0E00' and < '\u0E80' => 5,
        >= '\uAC00' and < '\uD7B0' or >= '\u1100' and < '\u1200' => 6,
        >= '\u3040' and < '\u3100' => 7,
        >= '\u3400' and < '\uA000' => 8,
        _ => 9,
    };
}
