using System.Text;
using FineTuneService.Training.Tests.Tokenization;
using FineTuneService.Training.Tokenization;

namespace FineTuneService.Training.Tests.Data;

public sealed class TextWordsTests
{
    [Theory]
    [InlineData("Ada sings  in Rome, (today)!", "Ada|sings|in|Rome|,|(|today|)|!")]
    [InlineData("U.N don't ...", "U.N|don't|.|.|.")]
    [InlineData("東京 is far", "東|京|is|far")]
    [InlineData("a 𝒳b 😀", "a|𝒳b|😀")]
    [InlineData("   ", "")]
    public void Words_stand_between_white_space_without_their_punctuation(string text, string words)
    {
        Rune[] runes = [.. text.EnumerateRunes()];

        Assert.Equal(words, string.Join('|', Training.Data.TextWords.Of(runes).Select(word => string.Concat(runes[word.Start..word.End]))));
    }

    [Theory]
    [InlineData("bert-base-cased")]
    [InlineData("roberta-base")]
    [InlineData("mini-xlmr")]
    [InlineData("mini-deberta")]
    public void Each_word_begins_with_one_token_in_every_kind_of_tokenizer(string name)
    {
        const string Text = "Ada 😀 sang unbelievably well in Rome, twice.";
        Rune[] runes = [.. Text.EnumerateRunes()];
        var encoding = Tokenizer.Load(GoldenTokenizers.Folder(name)).Encode(Text);
        var words = Training.Data.TextWords.Of(runes);

        var owners = Training.Data.TextWords.Align(encoding, runes, words);

        Assert.Equal(Enumerable.Range(0, words.Count), owners.Where(owner => owner >= 0).Distinct());
        Assert.All(owners.Index(), owner => Assert.Equal(StandsForNothing(owner.Index), owner.Item < 0));

        bool StandsForNothing(int token) => encoding.SpecialTokensMask[token] == 1 || runes[encoding.Offsets[token].Start..encoding.Offsets[token].End].All(Rune.IsWhiteSpace);
    }
}
