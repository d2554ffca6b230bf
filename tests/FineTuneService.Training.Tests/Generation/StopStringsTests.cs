using FineTuneService.Training.Generation;

namespace FineTuneService.Training.Tests.Generation;

public sealed class StopStringsTests
{
    [Theory]
    [InlineData("abcdef", "cd", "ab")]
    [InlineData("aab", "ab", "a")]
    [InlineData("abab!", "ab!", "ab")]
    [InlineData("abcde", "xyz", "abcde")]
    [InlineData("abc\n\nUser:", "\n\nUser:|\n\nBot:", "abc")]
    [InlineData("nothing at the en", "end", "nothing at the en")]
    [InlineData("first of two", "two|of", "first ")]
    public void The_text_ends_before_the_first_of_them_however_it_is_cut(string text, string stops, string expected)
    {
        for (var size = 1; size <= text.Length; size++)
        {
            var search = new StopStrings(stops.Split('|'));
            var (told, found) = ("", false);
            foreach (var piece in text.Chunk(size).TakeWhile(_ => !found))
            {
                (var certain, found) = search.Add(new string(piece));
                told += certain;
            }
            Assert.Equal(expected, found ? told : told + search.Flush());
        }
    }
}
