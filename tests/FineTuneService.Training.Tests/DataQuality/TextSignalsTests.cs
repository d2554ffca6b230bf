using FineTuneService.Training.DataQuality;

namespace FineTuneService.Training.Tests.DataQuality;

public sealed class TextSignalsTests
{
    [Theory]
    [InlineData("This is a plain sentence, with 2 numbers and 1 comma.", "Text")]
    [InlineData("ok!", "Text")] // Too short to be judged.
    [InlineData("I love C++ and <b>bold</b> statements about very many things", "Text")]
    [InlineData("<div><p class=\"x\">Hello</p><br/></div>", "Markup")]
    [InlineData("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9Q", "Encoded")]
    [InlineData("d41d8cd98f00b204e9800998ecf8427ed41d8cd98f00b204", "Encoded")]
    [InlineData("https://example.org/a/b?c=d", "Address")]
    [InlineData("12.5; 13.7; 99.1; -4.2; 1e-5", "Symbols")]
    [InlineData("--- *** === ### !!!", "Symbols")]
    [InlineData("aaaaaaaaaaaaaaaaaaaaaaaa", "Repetition")]
    [InlineData("caf\uFFFD\uFFFD b\uFFFD\uFFFDr na\uFFFDve", "Garbled")]
    [InlineData("これは普通の日本語の文章です。", "Text")]
    [InlineData("यह एक सामान्य वाक्य है जो पढ़ा जा सकता है", "Text")]
    public void A_text_that_is_none_is_told_by_its_kind(string text, string kind) => Assert.Equal(kind, TextKinds.Of(text).ToString());

    [Theory]
    [InlineData("I have been waiting for my new card for more than a week", "English")]
    [InlineData("Ich habe meine neue Karte immer noch nicht bekommen und warte auf sie", "German")]
    [InlineData("Je ne sais pas pourquoi ma carte est bloquée dans cette banque", "French")]
    [InlineData("No sé por qué la tarjeta no está activada y cómo puedo hacerlo", "Spanish")]
    [InlineData("Non so perché la mia carta non funziona più e cosa devo fare", "Italian")]
    [InlineData("Ik heb mijn kaart nog niet gekregen en ik wil weten waarom", "Dutch")]
    [InlineData("Почему моя карта до сих пор не пришла", "Cyrillic")]
    [InlineData("私のカードはまだ届いていません", "Japanese")]
    [InlineData("我的卡还没有收到请帮助我查一下好吗", "Chinese")]
    [InlineData("카드가 아직 도착하지 않았습니다", "Korean")]
    [InlineData("xylophone quartz", "unknown")]
    public void A_language_is_told_by_script_and_small_words(string text, string language) => Assert.Equal(language, TextLanguage.Name(TextLanguage.Of(text)));

    [Theory]
    [InlineData("Where is my card?", "where is MY card", 1, 1)] // Case and marks are nothing.
    [InlineData("I am still waiting on my card", "still I am waiting on my card", 0.75, 0.95)]
    [InlineData("I am still waiting on my replacement card", "I am still waiting on my replacememt card", 0.75, 0.95)]
    [InlineData("I am still waiting on my card", "How do I change my PIN abroad", 0, 0.2)]
    public void Shingles_of_short_texts_bear_small_changes(string one, string other, double from, double to) =>
        Assert.InRange(Shingles.Jaccard(Shingles.Of(one, []).Letters, Shingles.Of(other, []).Letters), from, to);

    [Fact]
    public void Long_texts_are_compared_by_triples_of_words()
    {
        var words = Enumerable.Range(0, 300).Select(at => $"w{at * 7919 % 997}").ToArray();
        var (letters, triples) = Shingles.Of(string.Join(' ', words), []);
        words[150] = "changed";

        Assert.Empty(letters);
        Assert.Equal(298, triples.Length);
        Assert.Equal(295.0 / 301, Shingles.Jaccard(triples, Shingles.Of(string.Join(' ', words), []).Words), 1e-9); // Three of the triples have the word.
    }

    /// <summary>The share of pairs that meet in a band is what the scheme promises: 1 − (1 − s^r)^b.</summary>
    [Theory]
    [InlineData(0.8, 0.99, 1.0)]
    [InlineData(0.3, 0.0, 0.12)]
    public void Alike_sets_share_a_band(double similarity, double from, double to)
    {
        var hash = new MinHash(0.8);
        var random = new Random(1);
        var met = Enumerable.Range(0, 1000).Count(_ =>
        {
            var shared = Enumerable.Range(0, 120).Select(_ => (uint)random.NextInt64(1L << 32)).ToArray();
            var apart = (int)Math.Round(shared.Length * (1 - similarity) / (2 * similarity)); // on each side
            uint[] one = [.. shared, .. Fresh(apart)], other = [.. shared, .. Fresh(apart)];
            uint[] left = new uint[hash.Bands], right = new uint[hash.Bands];
            hash.Sign(one, left);
            hash.Sign(other, right);
            return left.Zip(right).Any(pair => pair.First == pair.Second);
        });

        Assert.InRange(met / 1000.0, from, to);

        IEnumerable<uint> Fresh(int count) => Enumerable.Range(0, count).Select(_ => (uint)random.NextInt64(1L << 32));
    }
}
